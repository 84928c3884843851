"""Plans read only: the types say so, and mypy refuses a plan that writes."""

import inspect
import os
import subprocess
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.operations.base import Plan, Unchanged
from app.operations.reader import PlanSettings, Reader
from app.operations.registry import AnyKind
from app.ports import Host, Inventory
from tests.support.watched import READERS, WRITING, methods
from tests.support.world import make_world
from tests.unit.test_architecture import imports

ROOT = Path(__file__).parents[3]
KINDS: Sequence[AnyKind] = list(make_world().services.operations.runner._registry.kinds.values())

WRITES = {
    "store.transact": "reader.store.transact({}, [])",
    "store.put_leased": "reader.store.put_leased('/key', {}, 1)",
    "containers.remove": "reader.containers.remove('foo-0')",
    "containers.stop": "reader.containers.stop('foo-0')",
    "images.hold_image": "reader.images.hold_image('sha256:1')",
    "images.pull": "reader.images.pull('busybox', print)",
    "docker_volumes.remove_volume": "reader.docker_volumes.remove_volume('vol-0')",
    "layers.set_aside": "reader.layers.set_aside('/layer', 'name')",
    "layers.begin": "reader.layers.begin('/layer', '/layer', lambda _done, _total: None)",
    "volumes.create": "reader.volumes.create(plan)",
    "volumes.driver": "reader.volumes.driver()",
    "volumes.ensure_mounted": "reader.volumes.ensure_mounted(['vol-0'])",
    "volumes.set_aside": "reader.volumes.set_aside('vol-0', 'loop')",
    "records": "reader.records.put(record).store",
    "gpu_records": "reader.gpu_records.write('GPU-1', None, before)",
}
READS = "reader.store.get('/key')", "reader.containers.list()", "reader.images.image('busybox')", "reader.orphans()"
MODULE = """
from typing import Any

from app.operations.base import Plan
from app.operations.reader import Reader


class Kind:
    @staticmethod
    def plan(reader: Reader, request: object, plan: Any = None, record: Any = None, before: Any = None) -> Plan:
        {body}
        return Plan(operation=reader.draft(request.kind, "foo", 0))  # type: ignore[attr-defined]
"""


def test_mypy_refuses_a_plan_that_writes(tmp_path: Path) -> None:
    files = {name: tmp_path / f"writes_{name.replace('.', '_')}.py" for name in WRITES} | {"": tmp_path / "reads.py"}
    for name, file in files.items():
        file.write_text(MODULE.format(body=WRITES.get(name) or "; ".join(READS)))
    command = [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", "--cache-dir", str(tmp_path / "cache")]
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *map(str, files.values())], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    for name, file in files.items():
        found = [line for line in errors if file.name in line]
        assert len(found) == bool(name), f"{name or 'reads'}: {done.stdout}{done.stderr}"
        assert all("[attr-defined]" in line for line in found), found
    assert len(errors) == len(WRITES)


def test_the_reader_holds_nothing_that_writes() -> None:
    readers = {part: reader for part, (reader, _) in READERS.items()}
    allowed = {**readers, "node": str, "inventory": Inventory, "host": Host, "settings": PlanSettings}
    assert typing.get_type_hints(Reader) == allowed
    everything = set().union(*WRITING.values())
    for part, reader in {**readers, "inventory": Inventory, "host": Host}.items():
        assert not methods(reader) & everything, part
    assert all(WRITING.values())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_plan_has_nothing_but_its_reader_and_its_request(kind: AnyKind) -> None:
    plan = inspect.getattr_static(kind, "plan")
    assert isinstance(plan, staticmethod), "a plan with a `self` has writers in reach"
    hints = typing.get_type_hints(plan)
    result = hints.pop("return")
    assert list(hints) == ["reader", "request"] and hints["reader"] is Reader
    for answer in typing.get_args(result) or (result,):
        assert issubclass(typing.get_origin(answer) or answer, (Plan, Unchanged))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_the_module_of_a_plan_knows_no_adapter_and_not_the_journal(kind: AnyKind) -> None:
    module = sys.modules[type(kind).plan.__module__].__file__
    assert module
    for name in imports(Path(module)):
        assert not name.startswith(("app.adapters", "app.operations.journal", "app.operations.runner")), name

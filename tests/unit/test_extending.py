"""docs/development.md says which files to touch for what is added most often: here it is done, on a copy of the code.

Each recipe changes just the files that the document names, and then works: in another process, over the usual fakes.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AT_MOST = 6


@dataclass(frozen=True)
class Recipe:
    """What is added: files that are new, and in others a text that is put before or behind one that is there."""

    title: str
    proof: str
    new: Mapping[str, str] = field(default_factory=dict)
    edits: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def files(self) -> set[str]:
        """Every file that it touches."""
        return {*self.new, *self.edits}


FIELD = Recipe(
    "a field of `Spec`",
    edits={
        "app/model/container.py": [
            ("    image: str\n    gpu_count", "    image: str\n    init: bool = False\n    gpu_count")
        ],
        "app/model/validation.py": [
            (
                "    check_command(spec.cmd)\n",
                "    check_command(spec.cmd)\n"
                "    if spec.init and not spec.cmd:\n"
                '        raise InvalidRequest(Text("init needs a command to look after"))\n',
            )
        ],
        "app/web/api/specs.py": [
            ("    Ports = _ports()\n", "    Ports = _ports()\n    init = fields.Boolean(load_default=False)\n"),
            ("    image = fields.String()\n", "    image = fields.String()\n    init = fields.Boolean()\n"),
            ('        image=body["imageName"],\n', '        image=body["imageName"],\n        init=body["init"],\n'),
            ('        "image": spec.image,\n', '        "image": spec.image,\n        "init": spec.init,\n'),
        ],
        "app/adapters/docker/create_body.py": [
            (
                '            "DeviceRequests": requests,\n',
                '            "DeviceRequests": requests,\n            "Init": spec.init,\n',
            )
        ],
        "app/adapters/docker/unmanaged.py": [
            (
                '        image=config["Image"],\n',
                '        image=config["Image"],\n        init=bool(raw["HostConfig"].get("Init")),\n',
            )
        ],
        "app/model/spec_diff.py": [
            ('KINDS = ("image",', 'KINDS = ("init", "image",'),
            (
                '    yield from _unequal("image"',
                '    yield from _unequal("init", "", str(old.init), str(new.init))\n    yield from _unequal("image"',
            ),
        ],
    },
    proof="""
from app.adapters.docker.create_body import body
from app.model.container import ContainerPlan, Labels, Spec
from app.model.spec_diff import differences
from app.web.api import specs
from dataclasses import replace

site = Site()
created = site.browser().client.post(
    "/api/v1/containers",
    json={"imageName": "busybox:test", "containerName": "foo", "cmd": ["sh"], "init": True},
    headers=LOOPBACK,
)
assert created.status_code == 200, created.text
refused = site.browser().client.post(
    "/api/v1/containers", json={"imageName": "busybox:test", "containerName": "bar", "init": True}, headers=LOOPBACK
)
assert refused.status_code == 400 and refused.json["code"] == 1002, refused.text
site.services.containers.change_gpus(Name("foo"), 2)
site.services.containers.stop(Name("foo"))
site.services.containers.restart(Name("foo"))
shown = site.browser().client.get("/api/v1/containers/foo", headers=LOOPBACK).json["data"]
assert shown["init"] is True and shown["name"] == "foo-2"
old = spec(cmd=("sh",))
assert [found.kind for found in differences(old, replace(old, init=True))] == ["init"]
plan = ContainerPlan("foo-0", Labels("node", "foo", 0, "operation"), "id", replace(old, init=True))
assert body(plan, "none")["HostConfig"]["Init"] is True
""",
)

DRIVER = Recipe(
    "a volume driver",
    new={
        "app/adapters/volumes/memory.py": '''"""The driver `memory`: plain volumes under another name."""

from app.adapters.volumes.plain import PlainDriver


class MemoryDriver(PlainDriver):
    """Implements `ports.VolumeDriver` as plain ones are."""

    name = "memory"
''',
    },
    edits={
        "app/adapters/volumes/drivers.py": [
            ("    NONE: PlainDriver,\n", '    NONE: PlainDriver,\n    "memory": MemoryDriver,\n'),
            (
                "from app.adapters.volumes.plain import",
                "from app.adapters.volumes.memory import MemoryDriver\nfrom app.adapters.volumes.plain import",
            ),
        ],
        "app/model/volume.py": [("DRIVERS = (QUOTA, LOOP, NONE)", 'DRIVERS = (QUOTA, LOOP, NONE, "memory")')],
    },
    proof="""
import os
from app.adapters.volumes.drivers import Drivers
from app.config import load

class Docker:
    def root(self):
        return Path("/var/lib/docker")

assert Drivers(Docker()).named("memory", "vol-0").name == "memory"
os.environ["GPUDOCK_VOLUMES"] = "memory"
assert load().volumes == "memory"
""",
)

LOCATOR = Recipe(
    "a layer locator",
    new={
        "app/adapters/docker/layers/snapshots.py": '''"""The storage driver `snapshots`: layers below one directory."""

from app.adapters.docker.client import Clients


class SnapshotLocator:
    """Implements `ports.LayerLocator`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def locate(self, container: str) -> str:
        return f"/snapshots/{container}"

    def root(self, path: str) -> str | None:
        return "/snapshots" if path.startswith("/snapshots/") else None
''',
    },
    edits={
        "app/adapters/docker/layers/locators.py": [
            (
                '    "overlay2": Overlay2Locator,\n',
                '    "overlay2": Overlay2Locator,\n    "snapshots": SnapshotLocator,\n',
            ),
            ("from app.errors", "from app.adapters.docker.layers.snapshots import SnapshotLocator\nfrom app.errors"),
        ],
    },
    proof="""
from types import SimpleNamespace
from app.adapters.docker.layers.locators import DriverLocator

clients = SimpleNamespace(quick=lambda: SimpleNamespace(info=lambda: {"Driver": "snapshots"}))
assert DriverLocator(clients).locate("abc") == "/snapshots/abc"
""",
)

KIND = Recipe(
    "a kind of operation",
    new={
        "app/containers/touch.py": '''"""Touch a container: its record says that somebody has just looked after it."""

from dataclasses import dataclass

from app.containers.desired import DesiredState, parent_of, plan_on_newest
from app.containers.recreate import newest_idle
from app.containers.transactions import ContainerResult
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation
from app.operations.base import KindBase, Plan, Request, Resolution, WayOut, WaysOut
from app.operations.handle import OperationHandle
from app.operations.reader import Reader


@dataclass(frozen=True)
class TouchContainer(Request[ContainerResult]):
    """Touch `name`."""

    name: Name


@dataclass(frozen=True)
class Touch(KindBase):
    """Touches the newest version of a family."""

    desired: DesiredState

    @staticmethod
    def plan(reader: Reader, request: TouchContainer) -> Plan:
        """Find it."""
        return Plan(**plan_on_newest(reader, Kind.TOUCH, newest_idle(reader, request.name)))

    def run(self, handle: OperationHandle, plan: Plan) -> ContainerResult:
        """Touch it."""
        self.desired.commit(handle, "running")
        return ContainerResult(parent_of(handle.operation).container_id, handle.operation.name)

    def recover(self, handle: OperationHandle) -> None:
        """Do without it."""
        handle.end_undone()

    def ways_out(self, operation: Operation) -> WaysOut:
        """Offer to do without it."""
        left = WayOut([Text("leaves container {name} as it is", name=operation.name)])
        return {Resolution.FINISH: left, Resolution.UNDO: left, Resolution.FORGET: left}
''',
    },
    edits={
        "app/model/operation.py": [('    RESUME = "resume"\n', '    RESUME = "resume"\n    TOUCH = "touch"\n')],
        "app/kinds.py": [
            (
                "            (CONTAINERS, Kind.COMMIT):",
                "            (CONTAINERS, Kind.TOUCH): Touch(desired),\n            (CONTAINERS, Kind.COMMIT):",
            ),
            (
                "            CommitContainer:",
                "            TouchContainer: (CONTAINERS, Kind.TOUCH),\n            CommitContainer:",
            ),
            (
                "from app.containers.undo import Undo\n",
                "from app.containers.touch import Touch, TouchContainer\nfrom app.containers.undo import Undo\n",
            ),
        ],
        "app/containers/service.py": [
            (
                "    def resume(",
                '    def touch(self, name: Name) -> ContainerResult:\n        """Touch it."""\n'
                "        return self.runner.run(TouchContainer(name))\n\n    def resume(",
            ),
            (
                "from app.containers.transactions import",
                "from app.containers.touch import TouchContainer\nfrom app.containers.transactions import",
            ),
        ],
        "app/web/api/containers.py": [
            (
                "\n\ndef _made(",
                '\n\n@blueprint.route("/api/v1/containers/<name>/touch")\nclass ContainerTouch(MethodView):\n'
                '    """Touching."""\n\n    @changing(blueprint)\n    @blueprint.response(200, envelope(MadeSchema))\n'
                "    @blueprint.documents_errors(*CHANGES)\n    def patch(self, name: str) -> Any:\n"
                '        """Touch a container."""\n'
                "        return execute(TouchContainer(parse(name)), _made)\n\n\ndef _made(",
            ),
            (
                "from app.containers.transactions import",
                "from app.containers.touch import TouchContainer\nfrom app.containers.transactions import",
            ),
        ],
        "app/web/pages/words.py": [("    Kind.STOP: ", '    Kind.TOUCH: "touching",\n    Kind.STOP: ')],
    },
    proof="""
site = Site()
site.services.containers.create("foo", spec())
client = site.browser().client
preview = client.patch("/api/v1/containers/foo/touch?dryRun=true", headers=LOOPBACK).json["data"]
assert preview["kind"] == "touch" and preview["name"] == "foo-0"
begun = client.patch("/api/v1/containers/foo/touch", headers={**LOOPBACK, "Prefer": "respond-async"})
assert begun.status_code == 202
first = client.patch("/api/v1/containers/foo/touch", headers={**LOOPBACK, "Idempotency-Key": "k"})
again = client.patch("/api/v1/containers/foo/touch", headers={**LOOPBACK, "Idempotency-Key": "k"})
assert first.json == again.json and again.headers["Idempotency-Replayed"] == "true", again.text
assert site.services.containers.touch(Name("foo")).name == "foo-0"
listed = site.services.operations.queries.all(kind="touch").operations
assert listed and {view.state for view in listed} == {"done"}
assert "touching" in site.browser().page("/operations")
""",
)
PREPARED = """
from pathlib import Path
import app
assert Path(app.__file__).is_relative_to({copy!r}), app.__file__
from app.model.names import Name
from tests.support.site import Site
from tests.support.world import spec

LOOPBACK = {{"Host": "127.0.0.1"}}
"""


@pytest.mark.parametrize("recipe", [FIELD, DRIVER, LOCATOR, KIND], ids=lambda recipe: recipe.title)
def test_what_the_document_says_is_enough(recipe: Recipe, tmp_path: Path) -> None:
    documented = _documented(recipe)
    assert len(documented) == len(recipe.files) <= AT_MOST
    assert all(any(re.fullmatch(pattern, name) for pattern in documented) for name in recipe.files)
    _copy(tmp_path)
    for name, text in recipe.new.items():
        (tmp_path / name).write_text(text)
    for name, edits in recipe.edits.items():
        text = (tmp_path / name).read_text()
        for before, after in edits:
            assert text.count(before) == 1, f"{name} has {text.count(before)} times {before!r}"
            text = text.replace(before, after)
        (tmp_path / name).write_text(text)
    code = PREPARED.format(copy=str(tmp_path)) + recipe.proof
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _documented(recipe: Recipe) -> list[str]:
    """The files that the document names for what is added, as patterns: NAME is any."""
    document = (ROOT / "docs/development.md").read_text()
    _, _, rest = document.partition(f"### … {recipe.title}\n")
    section = rest.partition("\n#")[0]
    return [re.escape(name).replace("NAME", r"\w+") for name in re.findall(r"^\d\. `([^`]+)`", section, re.MULTILINE)]


def _copy(to: Path) -> None:
    """Copy what the application and its fakes need."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("app", "templates", "static"):
        shutil.copytree(ROOT / name, to / name, ignore=ignore)
    (to / "tests").mkdir()
    (to / "tests/__init__.py").touch()
    shutil.copytree(ROOT / "tests/support", to / "tests/support", ignore=ignore)

"""How long it takes to read and write records, by the codec, and by msgspec where that is installed."""

import importlib
import importlib.util
import json
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any, get_args, get_origin, get_type_hints

from app.model.container import Bind, FamilyRecord, PortMapping, Spec, VersionRecord
from app.model.gpu import Holder
from app.model.operation import Operation, Parent, now
from app.model.record import Record
from app.model.volume import VolumeRecord
from app.state import codec
from bench.fixtures import timed

COUNT = 10_000
msgspec = importlib.import_module("msgspec") if importlib.util.find_spec("msgspec") else None


def measure_records(rounds: int) -> None:
    """Print the best of so many rounds for each class of record: microseconds for writing and for reading one."""
    for record in examples():
        stored = json.loads(json.dumps(codec.encode(record)))
        kind = type(record)
        print(kind.__name__)
        _report("codec", rounds, partial(codec.encode, record), partial(codec.decode, kind, stored, "/bench"))
        if msgspec and kind is not VolumeRecord:  # it cannot rename a dataclass's field
            _report("msgspec, unknown fields kept", rounds, *_by_msgspec(record, stored))


def examples() -> list[Record]:
    """Return one realistic record of each of the classes that there are most of."""
    created = now()
    spec = Spec(
        image="registry.example/team/pytorch:2.4-cuda12",
        gpu_count=2,
        binds=tuple(Bind(f"data{n}-0", f"/data/{n}") for n in range(3)),
        env=tuple(f"VARIABLE_{n}=value {n}" for n in range(10)),
        cmd=("python", "-m", "train", "--epochs", "90"),
        ports=(PortMapping(40000, 22), PortMapping(40001, 8888)),
    )
    gpus = tuple(f"GPU-{n:08d}-1111-2222-3333-444444444444" for n in range(2))
    image, container = f"sha256:{'a' * 64}", "b" * 64
    running = Operation("0" * 22, "gpu", "train", 4, "node1", "host/1/2", created, parent=Parent(3, container, True))
    for step in ("copying", "stopping", "copying the rest", "starting"):
        running = running.at(step)
    return [
        VersionRecord("train", 3, "node1", spec, image, container, gpus, {"/cache": "c" * 64}, 2, "gpu", created),
        FamilyRecord("train", "node1", 3, "running", created, created),
        running,
        VolumeRecord("data", 1, "node1", "50GB", 50 << 30, "loop", 0, "resize", created, seal=1 << 60),
        Holder("train", 3, "0" * 22, container),
    ]


def _report(name: str, rounds: int, write: Callable[[], object], read: Callable[[], object]) -> None:
    writing, reading = (min(timed(partial(_repeat, work)) for _ in range(rounds)) for work in (write, read))
    print(f"  {name:30} write {writing / COUNT * 1e6:5.1f} µs, read {reading / COUNT * 1e6:5.1f} µs")


def _repeat(work: Callable[[], object]) -> None:
    for _ in range(COUNT):
        work()


def _by_msgspec(record: Record, stored: dict[str, Any]) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what writes and reads the record with msgspec, which leaves out what it does not know by itself."""
    kind, plans = type(record), _plans(type(record))
    return (
        lambda: _flat(msgspec.to_builtins(record), kind, plans),
        lambda: msgspec.convert(_sorted_out(stored, kind, plans), kind),
    )


Plans = dict[type, tuple[set[str], dict[str, type]]]


def _plans(kind: type) -> Plans:
    """For a class of records and those in it: the names of its fields, and which of them hold records."""
    found: dict[str, type] = {}
    for name, hint in get_type_hints(kind).items():
        kinds = [one for one in (hint, *get_args(hint)) if isinstance(one, type) and get_origin(one) is None]
        for one in kinds:
            if issubclass(one, Record):
                found[name] = one
    plans: Plans = {kind: ({field.name for field in fields(kind)}, found)}
    for other in found.values():
        plans.update(_plans(other))
    return plans


def _sorted_out(raw: dict[str, Any], kind: type, plans: Plans) -> dict[str, Any]:
    known, inner = plans[kind]
    found: dict[str, Any] = {name: value for name, value in raw.items() if name in known}
    found["extra"] = {name: value for name, value in raw.items() if name not in known and name != "schema"}
    for name, other in inner.items():
        value = found[name]
        if isinstance(value, list):
            found[name] = [_sorted_out(one, other, plans) for one in value]
        elif value is not None:
            found[name] = _sorted_out(value, other, plans)
    return found


def _flat(raw: dict[str, Any], kind: type, plans: Plans) -> dict[str, Any]:
    extra = raw.pop("extra")
    for name, other in plans[kind][1].items():
        for one in raw[name] if isinstance(raw[name], list | tuple) else [raw[name]]:
            if one is not None:
                _flat(one, other, plans)
    return {**extra, **raw}

"""No field of a record gets lost on its way, be it new or one that only a newer gpudock knows."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from app.model.container import Bind, FamilyRecord, PortMapping, Spec, VersionRecord
from app.model.gpu_health import OutOfService
from app.model.names import Name
from app.model.operation import Operation, PastOperation
from app.model.record import Record
from app.model.validation import check_spec
from app.model.volume import VolumeFamily, VolumeRecord
from app.ports import Put
from app.state.backup import Backups
from app.state.codec import decode, encode
from app.state.keys import HISTORY, operation_key
from app.state.unreadable import UnreadableRecords
from tests.support.filled import filled, with_unknown
from tests.support.world import World, make_world

# What an operation itself sets; everything else of a record is to be as it was.
OWN_OF_FAMILY = {"current", "desired", "updated"}


def whole_spec() -> Spec:
    """One that can be created, with something in every field, and unknown fields at every level."""
    made = filled(
        Spec,
        image="busybox:test",
        gpu_count=2,
        binds=(Bind("vol-0", "/data"), Bind("/mnt/shared", "/shared")),
        env=("A=b", "C=d"),
        cmd=("sh", "-c", "true"),
        ports=(PortMapping(2333, 22), PortMapping(2334, 80)),
    )
    return with_unknown(made)


def same(one: Record, other: Record, *but: str) -> None:
    """Assert that all fields of both, and of the records in them, are the same, `extra` too."""
    for field in fields(one):
        if field.name not in but:
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert _unknown(one) == _unknown(other)


def _unknown(record: Record) -> list[Any]:
    inner: list[Any] = [record.extra]
    for field in fields(record):
        value = getattr(record, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            inner += [_unknown(one)] if isinstance(one, Record) else []
    return inner


@pytest.fixture
def newer(world: World) -> Iterator[World]:
    """A container and a volume, as a newer gpudock might have recorded them: with something in every field."""
    world.services.volumes.create("vol", "1MB")
    world.services.containers.create("foo", whole_spec())
    for entry in world.store.list("/containers/", "/volumes/"):
        kinds = (VersionRecord, VolumeRecord) if "/versions/" in entry.key else (FamilyRecord, VolumeFamily)
        kind = kinds[entry.key.startswith("/volumes/")]
        world.store.transact(
            {}, [Put(entry.key, encode(with_unknown(_completed(decode(kind, entry.value, entry.key)))))]
        )
    yield world
    assert UnreadableRecords(world.store).all() == ()


def _completed(record: Any) -> Any:
    """The record with a value in each field that creating leaves at its default, except for what would change it."""
    whole = filled(type(record))
    kept = {"layer", "removed", "aside", "merging", "parent", "seal", "mounted", "extra"}
    empty = [f.name for f in fields(record) if f.name not in kept and getattr(record, f.name) == f.default]
    return replace(record, **{name: getattr(whole, name) for name in empty})


def family(world: World) -> FamilyRecord:
    state = world.services.containers.records.find("foo")
    assert state
    return state.record


def version(world: World, number: int) -> VersionRecord:
    return world.services.containers.records.version(Name("foo", number))


def volume(world: World, number: int) -> VolumeRecord:
    return world.services.volumes.records.version(Name("vol", number))


def test_a_check_loses_nothing() -> None:
    spec = whole_spec()
    same(check_spec(spec), spec)


def test_creating_loses_nothing_of_what_is_asked_for(world: World) -> None:
    world.services.volumes.create("vol", "1MB")
    spec = whole_spec()
    world.services.containers.create("foo", spec)
    same(version(world, 0).spec, spec)


def test_adopting_loses_nothing_of_what_is_found(world: World) -> None:
    world.services.volumes.create("vol", "1MB")
    spec = whole_spec()
    world.engine.add_foreign("foo", spec=spec, wants=2)
    world.services.containers.adopt("foo")
    same(version(world, 0).spec, spec)


@pytest.mark.parametrize("change", ["stop", "start", "gpus", "rollback", "delete", "restart"])
def test_a_change_loses_nothing(newer: World, change: str) -> None:
    services, name = newer.services, Name("foo")
    was, first, mounted = family(newer), version(newer, 0), volume(newer, 0)
    if change in ("start", "restart"):
        services.containers.stop(name)
    {
        "stop": lambda: services.containers.stop(name),
        "start": lambda: services.containers.restart(name),
        "restart": lambda: services.containers.restart(name),
        "gpus": lambda: services.containers.change_gpus(name, 1),
        "rollback": lambda: (services.containers.change_gpus(name, 1), services.containers.roll_back(name, 0)),
        "delete": lambda: services.containers.delete(name, force=True, erase=False),
    }[change]()
    same(family(newer), was, *OWN_OF_FAMILY)
    same(version(newer, 0), first, "layer", "removed")
    same(volume(newer, 0), mounted, "mounted")
    newest = version(newer, family(newer).current)
    same(newest.spec, first.spec, *({"gpu_count"} if change == "gpus" else ()))


def test_a_resize_and_a_deletion_lose_nothing_of_a_volume(newer: World) -> None:
    services, records = newer.services, newer.services.volumes.records
    before, first = records.find("vol"), volume(newer, 0)
    services.volumes.resize(Name("vol"), "2MB")
    services.containers.change_volume(Name("foo"), Bind("vol-0", "/data"), Bind("vol-1", "/data"))
    services.volumes.delete(Name("vol", 0), force=True, erase=False)
    after = records.find("vol")
    assert before and after
    same(after.record, before.record, "current", "updated")
    same(volume(newer, 0), first, "removed", "aside", "mounted")


def test_an_operation_keeps_everything_to_its_end(newer: World) -> None:
    begun = with_unknown(filled(Operation, family="foo", version=1, node="test-node", kind="gpu", owner="dead"))
    begun = replace(begun, resource="containers", merge=None, ports=(), volumes=(), gpus=(), image_id=None, stuck=None)
    newer.store.transact({}, [Put(operation_key("containers", "foo"), encode(begun))])
    assert newer.services.operations.journal.recover_orphans() == 1
    entry = newer.store.get(HISTORY + begun.id)
    assert entry
    past = decode(PastOperation, entry.value, entry.key)
    same(begun, replace(begun, **{f.name: getattr(past, f.name) for f in fields(begun)}), "owner", "step", "steps")
    assert past.steps[: len(begun.steps)] == begun.steps and past.parent and begun.parent
    assert past.parent.extra == begun.parent.extra


def test_a_gpu_out_of_service_keeps_what_is_not_known_of_it(world: World) -> None:
    gpu = world.services.gpus.all()[0].gpu
    out = replace(filled(OutOfService), schedulable=True)
    world.store.transact({}, [Put(f"/health/test-node/{gpu.uuid}", encode(out))])
    view, _ = world.services.gpus.schedule(gpu.uuid, False)
    assert view.out
    same(view.out, out, "schedulable")
    found = world.services.gpus.one(gpu.uuid).out
    assert found
    same(found, out, "schedulable")


def test_a_backup_loses_nothing(newer: World) -> None:
    newer.services.volumes.resize(Name("vol"), "2MB")
    backup = Backups(newer.store, "/test").take()
    other = make_world()
    Backups(other.store, "/test").restore(backup, replace=False, save=lambda _: None)
    again = {entry.key: entry.value for entry in other.store.list("/") if entry.key != "/meta/restored"}
    assert again == backup.keys

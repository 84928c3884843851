"""Operations that got stuck, left by whoever broke at one of their writes, for the tests of the ways out."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest

from app.bootstrap import Services
from app.containers.adopt import AdoptContainer
from app.containers.change_gpus import ChangeGpus
from app.containers.change_volume import ChangeVolume
from app.containers.commit import CommitContainer
from app.containers.create import CreateContainer
from app.containers.delete import DeleteContainer
from app.containers.restart import RestartContainer
from app.containers.rollback import RollBackContainer
from app.containers.start import ResumeContainer
from app.containers.stop import StopContainer
from app.images.pull import PullImage
from app.model.container import Bind, PortMapping
from app.model.messages import Text
from app.model.names import Name
from app.model.operation import Kind, Operation, Parent, Step, new_id, now
from app.operations.base import Plan, Request
from app.operations.handle import Failure
from app.ports import Put
from app.state.codec import encode, read
from app.state.keys import CONTAINERS, IMAGES, OPERATIONS, VOLUMES, operation_key
from app.volumes.adopt import AdoptVolume
from app.volumes.create import CreateVolume
from app.volumes.delete import DeleteVolume
from app.volumes.resize import ResizeVolume
from app.volumes.rollback import RollBackVolume
from tests.support.memory_store import MemoryStore
from tests.support.world import World, spec

WHY = Text("{disk} is broken", disk="sda")
FOO, VOL = Name("foo"), Name("vol")
# The writing methods of the fakes: an operation may break after any of them.
_WRITES = {
    "store": ("transact",),
    "engine": ("create", "start", "stop", "remove", "remove_volume"),
    "images": ("commit", "name_commit", "drop_commit", "hold_image", "release_image", "pull"),
    "layers": ("begin", "set_aside", "discard"),
    "volumes": ("create", "begin", "set_aside", "discard", "discard_aside", "undo", "sync"),
}


class Killed(BaseException):
    """The process was killed here."""


@dataclass(frozen=True)
class Scenario:
    """An operation: what is there before it, and the request that begins it."""

    resource: str
    kind: Kind
    name: str
    prepare: Callable[[World], object]
    request: Request[Any]

    def __str__(self) -> str:
        return f"{self.resource}-{self.name}"


def _foo(world: World, gpus: int = 2) -> None:
    world.services.volumes.create("vol", "1MB")
    ports = (PortMapping(40001, 80), PortMapping(0, 81))
    world.services.containers.create("foo", spec(gpu_count=gpus, ports=ports, binds=(Bind("vol-0", "/data"),)))
    world.files("foo-0")["vim"] = "installed"


def _grown(world: World) -> None:
    _foo(world)
    world.services.volumes.resize(VOL, "2MB")


def _second(world: World) -> None:
    _foo(world)
    world.services.containers.change_gpus(FOO, 3)


def _stopped(world: World) -> None:
    _foo(world)
    world.services.containers.stop(FOO)


def _ended(world: World) -> None:
    _foo(world)
    next(iter(world.engine.containers.values())).end(137)


def _foreign(world: World) -> None:
    world.engine.add_foreign("old", spec=spec(ports=(PortMapping(40003, 80),)), wants=1)


def _plain_volume(world: World) -> None:
    world.engine.volumes.add("old")
    world.volumes.data_path("old")


def _volume(world: World) -> None:
    world.services.volumes.create("vol", "1MB")


def _two_volumes(world: World) -> None:
    _volume(world)
    world.services.volumes.resize(VOL, "2MB")


def _registry(world: World) -> None:
    world.images.registry["new:latest"] = "sha256:" + "c" * 64


_NEW = spec(gpu_count=2, ports=(PortMapping(0, 80),), binds=(Bind("vol-0", "/data"),))
SCENARIOS = (
    Scenario(CONTAINERS, Kind.CREATE, "create", _volume, CreateContainer("foo", _NEW)),
    Scenario(CONTAINERS, Kind.ADOPT, "adopt", _foreign, AdoptContainer("old", "foo")),
    Scenario(CONTAINERS, Kind.GPU, "gpu", _foo, ChangeGpus(FOO, 4)),
    Scenario(
        CONTAINERS, Kind.VOLUME, "volume", _grown, ChangeVolume(FOO, Bind("vol-0", "/data"), Bind("vol-1", "/data"))
    ),
    Scenario(CONTAINERS, Kind.ROLLBACK, "rollback", _second, RollBackContainer(FOO, 0)),
    Scenario(CONTAINERS, Kind.RESTART, "restart", _stopped, RestartContainer(FOO)),
    Scenario(CONTAINERS, Kind.START, "start", _foo, RestartContainer(FOO)),
    Scenario(CONTAINERS, Kind.RESUME, "resume", _ended, ResumeContainer(FOO)),
    Scenario(CONTAINERS, Kind.STOP, "stop", _foo, StopContainer(FOO)),
    Scenario(CONTAINERS, Kind.DELETE, "delete", _foo, DeleteContainer(FOO, force=True, erase=False)),
    Scenario(CONTAINERS, Kind.DELETE, "erase", _second, DeleteContainer(FOO, force=True, erase=True)),
    Scenario(
        CONTAINERS, Kind.DELETE, "delete-older", _second, DeleteContainer(Name("foo", 0), force=True, erase=False)
    ),
    Scenario(CONTAINERS, Kind.DELETE, "erase-older", _second, DeleteContainer(Name("foo", 0), force=True, erase=True)),
    Scenario(CONTAINERS, Kind.COMMIT, "commit", _foo, CommitContainer(FOO, "saved")),
    Scenario(VOLUMES, Kind.CREATE, "create", lambda _: None, CreateVolume("vol", "1MB")),
    Scenario(VOLUMES, Kind.ADOPT, "adopt", _plain_volume, AdoptVolume("old", "vol", "1MB")),
    Scenario(VOLUMES, Kind.RESIZE, "resize", _volume, ResizeVolume(VOL, "2MB")),
    Scenario(VOLUMES, Kind.ROLLBACK, "rollback", _two_volumes, RollBackVolume(VOL, 0)),
    Scenario(VOLUMES, Kind.DELETE, "delete", _volume, DeleteVolume(VOL, force=True, erase=False)),
    Scenario(VOLUMES, Kind.DELETE, "erase", _two_volumes, DeleteVolume(VOL, force=True, erase=True)),
    Scenario(VOLUMES, Kind.DELETE, "delete-older", _two_volumes, DeleteVolume(Name("vol", 0), force=True, erase=False)),
    Scenario(IMAGES, Kind.PULL, "pull", _registry, PullImage("new")),
)


def break_after(world: World, scenario: Scenario, writes: int) -> bool:
    """Break the scenario's request after so many writes to anything; False if it makes less."""
    scenario.prepare(world)
    journal = world.services.operations.journal
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "recover", lambda *_: None)
        patch.setattr(journal, "_recover_in_background", lambda *_: None)
        _kill_after(world, patch, writes)
        try:
            world.services.operations.run(scenario.request)
        except Killed:
            return True
    return False


def break_points(scenario: Scenario, make_world: Callable[[], World]) -> Iterator[World]:
    """A world for each write of the scenario's operation after which it may break, and get stuck.

    After every other write also one whose recovery has come as far as it comes with two writes.
    """
    for writes in count(1):
        for recovered in (0, 2) if writes % 2 else (0,):
            world = make_world()
            if not break_after(world, scenario, writes):
                return
            if world.stored(OPERATIONS) and (not recovered or _break_recovery(world, recovered)):
                stick(world.store)
                yield world


def _break_recovery(world: World, writes: int) -> bool:
    """Recover the operation that there is, and break after so many writes; False if it has ended."""
    (found,) = world.services.operations.resolver.reader.operations.all_running()
    with pytest.MonkeyPatch.context() as patch:
        _kill_after(world, patch, writes)
        with suppress(Killed):
            world.services.operations.journal.recover(found, Failure("it broke"))
    return world.stored(OPERATIONS) != []


def stick(store: MemoryStore, why: str = WHY) -> Operation:
    """Let the one operation that there is be stuck."""
    (entry,) = store.list(OPERATIONS)
    operation = replace(read(Operation, entry), stuck=why, tries=8)
    store.transact({}, [Put(entry.key, encode(operation))])
    return operation


def stuck_commit(services: Services, store: MemoryStore, family: str = "foo", why: str = WHY) -> Operation:
    """Let a commit of a container that is there be stuck."""
    plan = services.operations.runner.plan(CommitContainer(Name(family), "saved"))
    assert isinstance(plan, Plan) and services.operations.journal.begin(plan) is not None
    return stick(store, why)


def stuck_record(family: str, container: str, node: str) -> Put:
    """The record of a commit of a running container, of version 0, that is stuck, as a dead process left it."""
    operation = Operation(
        id=new_id(),
        kind=Kind.COMMIT,
        family=family,
        version=0,
        node=node,
        owner="nowhere/1/1",
        started=now(),
        parent=Parent(0, container, running=True),
        image="saved",
        tries=8,
        stuck=WHY,
    ).at(Step.SETTLING)
    return Put(operation_key(CONTAINERS, family), encode(operation))


def _kill_after(world: World, patch: pytest.MonkeyPatch, writes: int) -> None:
    left = iter(range(writes - 1, -1, -1))
    for part, methods in _WRITES.items():
        for method in methods:
            fake = getattr(world, part)
            patch.setattr(fake, method, _counted(getattr(fake, method), left))


def _counted(method: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        result = method(*args, **options)
        if next(left, 1) == 0:
            raise Killed
        return result

    return call

"""Volumes in memory, working as the real ones do, for the tests of the services."""

import errno
from collections.abc import Sequence
from itertools import count
from threading import RLock

from app.errors import (
    DomainError,
    LayerCopyFailed,
    Unavailable,
    VolumeDeleteFailed,
    VolumeExists,
    VolumeInUse,
    VolumeNotFound,
)
from app.model.alerts import DiskSpace
from app.model.container import Labels
from app.model.volume import LOOP, NONE, Usage, VolumePlan
from app.ports import Progress
from tests.support.fake_engine import FakeEngine

Files = dict[str, str]


class FakeVolumes:
    """Volumes of `engine`, whose set `volumes` says which exist. `files` maps each place to what is there.

    `fail_next["create"] = error` makes the next `create` fail before it does anything; "copy_live", "settle" and
    "finish" do so for transfers. `chosen` is the way of new volumes, `free` what `free_bytes` tells.
    """

    def __init__(self, engine: FakeEngine, way: str = LOOP) -> None:
        self.engine = engine
        self.chosen = way
        self.free = 1 << 40
        self.files: dict[str, Files] = {}
        self.plans: dict[str, VolumePlan] = {}
        self.ways: dict[str, str] = {}
        self.readied: list[str] = []
        self.synced: list[str] = []
        self.fail_next: dict[str, DomainError] = {}
        self._lock = RLock()
        self._clock = count(1)
        self._seen: dict[str, tuple[Files, int]] = {}

    def driver(self) -> str:
        self._fault("driver")
        return self.chosen

    def create(self, plan: VolumePlan) -> str:
        with self._lock:
            self._fault("create")
            if plan.name in self.engine.volumes:
                made = self._ours(plan.name)
                if made is None or made.operation != plan.labels.operation:
                    raise VolumeExists(f"Docker has a volume {plan.name} already")
                return self.ways[plan.name]
            self.engine.volumes.add(plan.name)
            self.plans[plan.name], self.ways[plan.name] = plan, self.chosen
            self.files[_place(plan.name)] = {}
            return self.chosen

    def usage(self, name: str) -> Usage | None:
        self._fault("usage")
        if name not in self.engine.volumes or (self._ours(name) and _place(name) not in self.files):
            return None
        if not self._ours(name) or self.ways[name] == NONE:
            return Usage()
        files = self.files[_place(name)]
        return Usage(self.plans[name].size.bytes, _room(files), len(files))

    def usages(self) -> dict[str, Usage]:
        found = {name: self.usage(name) for name in self.engine.volumes if self._ours(name)}
        return {name: usage for name, usage in found.items() if usage is not None}

    def free_bytes(self) -> int:
        self._fault("free_bytes")
        return self.free

    def disks(self) -> list[DiskSpace]:
        return [DiskSpace("/var/lib/docker", self.free, 1 << 41)]

    def ensure_mounted(self, names: Sequence[str]) -> None:
        self._fault("ensure_mounted")
        for name in names:
            self.data_path(name)
        self.readied.extend(names)

    def data_path(self, name: str) -> str:
        self._fault("data_path")
        if name not in self.engine.volumes:
            raise VolumeNotFound(f"there is no volume {name}")
        if self._ours(name) and _place(name) not in self.files:
            raise VolumeNotFound(f"the data of {name} is gone")
        self.files.setdefault(_place(name), {})
        return _place(name)

    def begin(self, source: str, target: str, progress: Progress) -> "FakeVolumeTransfer":
        self._fault("begin")
        self._at(source)
        self._at(target)
        if source == target or not target.startswith("/volumes/"):
            raise LayerCopyFailed(f"{source} cannot be carried to {target}")
        return FakeVolumeTransfer(self, source, target, progress)

    def sync(self, place: str) -> None:
        self._fault("sync")
        self._at(place)
        self.synced.append(place)

    def measure(self, place: str) -> tuple[int, int]:
        self._fault("measure")
        return _room(self._at(place)), len(self._at(place))

    def last_change(self, place: str) -> int:
        """A number that is higher after each change, also one that a test made in `files` itself."""
        self._fault("last_change")
        with self._lock:
            files = dict(self._at(place))
            before, stamp = self._seen.get(place, (None, 0))
            if before != files:
                stamp = next(self._clock)
                self._seen[place] = files, stamp
            return stamp

    def names(self, family: str) -> list[str]:
        self._fault("names")
        return sorted(name for name in self.engine.volumes if (ours := self._ours(name)) and ours.family == family)

    def made(self) -> dict[str, str]:
        self._fault("made")
        return {name: ours.operation for name in self.engine.volumes if (ours := self._ours(name))}

    def set_aside(self, name: str, driver: str) -> str:
        with self._lock:
            self._fault("set_aside")
            if name not in self.engine.volumes:
                if _aside(name) in self.files:
                    return _aside(name)
                raise VolumeNotFound(f"there is no volume {name}")
            self._refuse_foreign(name)
            self._refuse_used(name, stopped=True)
            self.files[_aside(name)] = self.files.pop(_place(name))
            self._forget(name)
            return _aside(name)

    def discard(self, name: str) -> None:
        with self._lock:
            self._fault("discard")
            if name not in self.engine.volumes:
                return
            self._refuse_foreign(name)
            self._refuse_used(name, stopped=False)
            self.files.pop(_place(name), None)
            if not self._users(name, stopped=True):
                self._forget(name)
            elif self.ways[name] != LOOP:
                self.files[_place(name)] = {}

    def discard_aside(self, place: str) -> None:
        self._fault("discard_aside")
        if not place.startswith("/aside/volumes/"):
            raise VolumeDeleteFailed(f"{place} is not where volumes are set aside")
        self.files.pop(place, None)

    def undo(self, operation: str) -> None:
        self._fault("undo")
        for name in [name for name, plan in self.plans.items() if plan.labels.operation == operation]:
            self.discard(name)

    def write(self, name: str, path: str, content: str) -> None:
        """What a container does that has the volume; OSError ENOSPC if it is full."""
        self.write_at(self.data_path(name), {**self._at(self.data_path(name)), path: content})

    def write_at(self, place: str, files: Files) -> None:
        """Replace all that is at a place; OSError ENOSPC if that is more than its volume holds."""
        name = place.removeprefix("/volumes/")
        if self._ours(name) and self.ways[name] != NONE and _room(files) > self.plans[name].size.bytes:
            raise OSError(errno.ENOSPC, "No space left on device", place)
        self.files[place] = dict(files)

    def _at(self, place: str) -> Files:
        if place not in self.files:
            raise LayerCopyFailed(f"there is no place {place!r}")
        return self.files[place]

    def _ours(self, name: str) -> Labels | None:
        return self.plans[name].labels if name in self.plans and name in self.engine.volumes else None

    def _forget(self, name: str) -> None:
        self.engine.volumes.discard(name)
        del self.plans[name], self.ways[name]

    def _refuse_foreign(self, name: str) -> None:
        if not self._ours(name):
            raise VolumeDeleteFailed(f"gpudock did not make the volume {name}")

    def _refuse_used(self, name: str, stopped: bool) -> None:
        if users := self._users(name, stopped):
            raise VolumeInUse(f"the volume {name} is in use by {', '.join(users)}", containers=users)

    def _users(self, name: str, stopped: bool) -> list[str]:
        return [
            container.name
            for container in self.engine.containers.values()
            if (stopped or container.running) and container.plan
            if name in {bind.src for bind in container.plan.spec.binds}
        ]

    def _fault(self, method: str) -> None:
        if error := self.fail_next.pop(method, None):
            raise error


class FakeVolumeTransfer:
    """One volume's data on its way: after `copy_live` the target may hold files that the source has lost since."""

    def __init__(self, home: FakeVolumes, source: str, target: str, progress: Progress) -> None:
        self._home, self._source, self._target, self._progress = home, source, target, progress

    def copy_live(self) -> None:
        self._home._fault("copy_live")
        self._put({**self._home._at(self._target), **self._home._at(self._source)})

    def settle(self) -> None:
        self._home._fault("settle")
        self._put(dict(self._home._at(self._source)))

    def finish(self) -> None:
        self._home._fault("finish")
        self._put(dict(self._home._at(self._source)))

    def _put(self, files: Files) -> None:
        total = _room(files)
        self._progress(0, total)
        self._home._at(self._target)
        try:
            self._home.write_at(self._target, files)
        except OSError as exc:
            raise Unavailable("disk", f"The files of {self._source} could not be carried: the disk is full.") from exc
        self._progress(total, total)


def _place(name: str) -> str:
    return f"/volumes/{name}"


def _aside(name: str) -> str:
    return f"/aside/volumes/{name}"


def _room(files: Files) -> int:
    return sum(map(len, files.values()))

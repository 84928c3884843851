"""Docker, its layers and its host in memory, working as the real ones do, for the tests of the services."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock

from app.errors import (
    CommandRefused,
    ContainerExists,
    ContainerNotFound,
    ContainerNotRunning,
    DomainError,
    ImageNotFound,
    InvalidRequest,
    LayerCopyFailed,
    PortTaken,
)
from app.model.adoption import UnmanagedContainer, UnmanagedVolume
from app.model.container import ContainerPlan, ExecResult, Image, Inspected, Labels, Mount, Observed, PortMapping, Spec
from app.ports import Progress

_REFERENCE = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*(:[\w][\w.-]*)?", re.ASCII)
Command = Callable[["FakeContainer", Sequence[str]], ExecResult]


@dataclass
class FakeContainer:
    """A container of the fake: `plan` is None for one that somebody else made, to which `spec` comes closest.

    `wants` are the GPUs that such a one asks for, by name or as their number; `peculiar` is what a spec cannot say.
    """

    id: str
    name: str
    image_id: str
    upper_dir: str
    plan: ContainerPlan | None = None
    state: str = "created"
    started: bool = False
    anonymous: dict[str, str] = field(default_factory=dict)
    output: str = ""
    exit_code: int = 0
    ended: float | None = None
    out_of_memory: bool = False
    spec: Spec = field(default_factory=lambda: Spec("busybox:test"))
    wants: tuple[str, ...] | int = 0
    peculiar: tuple[str, ...] = ()

    @property
    def labels(self) -> Labels | None:
        return self.plan.labels if self.plan else None

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused")

    @property
    def mounted(self) -> dict[str, str]:
        binds = (self.plan.spec if self.plan else self.spec).binds
        return {**{bind.dest: bind.src for bind in binds if bind.is_volume}, **self.anonymous}

    @property
    def ports(self) -> tuple[PortMapping, ...]:
        return (self.plan.spec if self.plan else self.spec).ports

    def inspected(self) -> Inspected:
        return Inspected(
            id=self.id,
            name=self.name,
            state=self.state,
            labels=self.labels,
            image_id=self.image_id,
            anonymous=dict(self.anonymous),
            started=self.started,
            exit_code=self.exit_code,
            ended=self.ended,
            out_of_memory=self.out_of_memory,
        )

    @property
    def status(self) -> str:
        return f"Exited ({self.exit_code}) 2 minutes ago" if self.state == "exited" else self.state.capitalize()

    def end(self, exit_code: int, out_of_memory: bool = False) -> None:
        """Its main process ends."""
        self.state, self.exit_code, self.ended = "exited", exit_code, time.time()
        self.out_of_memory = out_of_memory


class FakeEngine:
    """An engine with one image, `busybox:test`. `layers` maps each container's upper_dir to its files.

    `fail_next["start"] = error` makes the next start fail before it does anything; `lose_answer` lets it happen
    first. `calls` lists the writing methods that were called, each with what it was called for.
    """

    def __init__(self, node: str = "test-node", layers: dict[str, dict[str, str]] | None = None) -> None:
        self.node = node
        self.layers = {} if layers is None else layers
        self.images = {"busybox:test": Image("sha256:" + "b" * 64)}
        self.commits: dict[str, str] = {}
        self.untagged: set[str] = set()
        self.held: set[str] = set()
        self.committed_by: dict[str, Image] = {}
        self.volumes: set[str] = set()
        self.drivers: dict[str, str] = {}
        self.options: dict[str, dict[str, str]] = {}
        self.containers: dict[str, FakeContainer] = {}
        self.commands: dict[str, Command] = {"echo": _echo}
        self.busy_ports: set[int] = set()
        self.fail_next: dict[str, DomainError] = {}
        self.lose_answer: dict[str, DomainError] = {}
        self.calls: list[tuple[str, str]] = []
        self._lock = RLock()

    def ping(self) -> str:
        with self._call("ping"):
            return "20.10.0"

    def image(self, name: str) -> Image:
        with self._call("image"):
            for known, image in self.images.items():
                if name in (known, known.removesuffix(":latest"), image.id):
                    return image
            if name in self.untagged:
                return Image(name)
            raise ImageNotFound(f"there is no image {name!r} on this host")

    def hold_image(self, image_id: str) -> None:
        with self._call("hold_image", image_id):
            self.image(image_id)
            self.held.add(image_id)

    def release_image(self, image_id: str) -> None:
        with self._call("release_image", image_id):
            self.held.discard(image_id)

    def held_images(self) -> set[str]:
        with self._call("held_images"):
            return self.held - {container.image_id for container in self.containers.values()}

    def volume_exists(self, name: str) -> bool:
        with self._call("volume_exists"):
            return name in self.volumes

    def volume_names(self) -> set[str]:
        with self._call("volume_names"):
            return set(self.volumes)

    def volume(self, name: str) -> UnmanagedVolume | None:
        """`drivers` and `options` say what is not as Docker does it by itself."""
        with self._call("volume"):
            if name not in self.volumes:
                return None
            return UnmanagedVolume(name, self.drivers.get(name, "local"), self.options.get(name, {}), managed=False)

    def mounts(self) -> dict[str, list[Mount]]:
        with self._call("mounts"):
            found: dict[str, list[Mount]] = {}
            for container in self.containers.values():
                for dest, volume in container.mounted.items():
                    found.setdefault(volume, []).append(
                        Mount(container.name, dest, container.running, container.started, bool(container.plan))
                    )
            return found

    def remove_volume(self, name: str) -> None:
        with self._call("remove_volume", name):
            if not any(name in container.mounted.values() for container in self.containers.values()):
                self.volumes.discard(name)

    def create(self, plan: ContainerPlan) -> str:
        with self._call("create", plan.name):
            image = self.image(plan.image_id)
            if holder := self._find(plan.name):
                if holder.labels and holder.labels.operation == plan.labels.operation:
                    return holder.id
                raise ContainerExists(f"the name {plan.name} is taken by container {holder.id[:12]}")
            container = self._add(plan.name, image.id, plan)
            container.anonymous = {path: plan.anonymous.get(path) or secrets.token_hex(32) for path in image.volumes}
            self.volumes |= {bind.src for bind in plan.spec.binds if bind.is_volume} | {*container.anonymous.values()}
            return container.id

    def inspect(self, ref: str) -> Inspected | None:
        with self._call("inspect"):
            return found.inspected() if (found := self._find(ref)) else None

    def describe(self, ref: str) -> UnmanagedContainer | None:
        with self._call("describe"):
            found = self._find(ref)
            if found is None:
                return None
            names, count = (found.wants, len(found.wants)) if isinstance(found.wants, tuple) else ((), found.wants)
            return UnmanagedContainer(found.inspected(), found.plan.spec if found.plan else found.spec, names, count)

    def differences(self, old: str, new: str) -> Sequence[str]:
        with self._call("differences"):
            assert self._find(new)
            return self._get(old).peculiar

    def list(self, family: str | None = None, operation: str | None = None) -> list[Observed]:
        with self._call("list"):
            return [
                Observed(container.id, container.name, container.state, labels, container.status)
                for container in self.containers.values()
                if (labels := container.labels) and labels.node == self.node
                if family in (None, labels.family) and operation in (None, labels.operation)
            ]

    def start(self, ref: str) -> None:
        with self._call("start", ref):
            container = self._get(ref)
            taken = {p.host for c in self.containers.values() if c.running and c is not container for p in c.ports}
            for port in container.ports:
                if port.host in taken | self.busy_ports:
                    raise PortTaken(f"port {port.host} of the host is in use", hostPort=port.host)
            container.state, container.started = "running", True

    def stop(self, ref: str) -> None:
        with self._call("stop", ref):
            container = self._get(ref)
            if container.running:
                container.end(143)

    def remove(self, ref: str) -> None:
        with self._call("remove", ref):
            if found := self._find(ref):
                self.layers.pop(found.upper_dir, None)
                del self.containers[found.id]

    def commit(self, ref: str, image_name: str, operation: str) -> str:
        with self._call("commit", ref):
            container = self._get(ref)
            if not _REFERENCE.fullmatch(image_name):
                raise InvalidRequest(f"{image_name!r} cannot be an image's name")
            content = repr(sorted(self.layers[container.upper_dir].items())) + container.image_id + operation
            image = Image("sha256:" + hashlib.sha256(content.encode()).hexdigest())
            self.committed_by[operation] = image
            self.commits[image.id] = container.name
            self.images[_full(image_name)] = image
            return image.id

    def name_commit(self, operation: str, image_name: str) -> bool:
        with self._call("name_commit", operation):
            made, holder = self.committed_by.get(operation), self.images.get(_full(image_name))
            if made and holder is None:
                self.images[_full(image_name)] = made
            return made is not None and holder in (None, made)

    def nameless_commits(self) -> set[str]:
        with self._call("nameless_commits"):
            named = {image.id for image in self.images.values()} | self.held
            return {operation for operation, image in self.committed_by.items() if image.id not in named}

    def drop_commit(self, operation: str) -> None:
        with self._call("drop_commit", operation):
            if operation in self.nameless_commits():
                del self.committed_by[operation]

    def execute(self, ref: str, cmd: Sequence[str], work_dir: str | None, timeout: float, cap: int) -> ExecResult:
        """`commands` says what exists; the work directory and the timeout make no difference."""
        with self._call("execute", ref):
            container = self._get(ref)
            if container.state != "running":
                raise ContainerNotRunning(f"{container.name} is not running")
            if cmd[0] not in self.commands:
                raise CommandRefused(f"there is no command {cmd[0]!r} in the container")
            result = self.commands[cmd[0]](container, cmd)
            cut = len(result.stdout) > cap or len(result.stderr) > cap
            return ExecResult(result.stdout[:cap], result.stderr[:cap], result.exit_code, cut, result.timed_out)

    def logs(self, ref: str, tail: int) -> str:
        with self._call("logs"):
            return "".join(self._get(ref).output.splitlines(keepends=True)[-tail:] if tail else ())

    def locate(self, container: str) -> str:
        """The layer of a container, as `FakeLayers` finds it."""
        with self._call("locate"):
            return self._get(container).upper_dir

    def add_foreign(
        self,
        name: str,
        state: str = "running",
        spec: Spec | None = None,
        wants: tuple[str, ...] | int = 0,
        peculiar: tuple[str, ...] = (),
    ) -> str:
        """Put a container there that gpudock did not make; returns its id."""
        container = self._add(name, self.images["busybox:test"].id, None)
        container.state, container.started = state, state != "created"
        container.spec, container.wants, container.peculiar = spec or container.spec, wants, peculiar
        return container.id

    def _add(self, name: str, image_id: str, plan: ContainerPlan | None) -> FakeContainer:
        identity = secrets.token_hex(32)
        container = FakeContainer(identity, name, image_id, f"/layers/{identity}/diff", plan)
        self.containers[identity] = container
        self.layers[container.upper_dir] = {}
        return container

    def _find(self, ref: str) -> FakeContainer | None:
        return next((found for found in self.containers.values() if ref in (found.id, found.name)), None)

    def _get(self, ref: str) -> FakeContainer:
        if found := self._find(ref):
            return found
        raise ContainerNotFound(f"Docker has no container {ref}")

    @contextmanager
    def _call(self, method: str, subject: str | None = None) -> Iterator[None]:
        with self._lock:
            if subject is not None:
                self.calls.append((method, subject))
            if error := self.fail_next.pop(method, None):
                raise error
            yield
            if error := self.lose_answer.pop(method, None):
                raise error


class FakeLayers:
    """Carries the files of an engine's layers; `fail_next` takes "copy_live", "finish" and "set_aside"."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.layers = engine.layers
        self.synced: list[str] = []
        self.fail_next: dict[str, DomainError] = {}

    def locate(self, container: str) -> str:
        return self._engine.locate(container)

    def begin(self, source: str, target: str, progress: Progress) -> "FakeTransfer":
        return FakeTransfer(self, source, target, progress)

    def measure(self, path: str) -> tuple[int, int]:
        files = self._files(path)
        return sum(map(len, files.values())), len(files)

    def sync(self, path: str) -> None:
        self._files(path)
        self.synced.append(path)

    def set_aside(self, layer: str, name: str) -> str:
        """Leave the container an empty layer; may be repeated."""
        self._fault("set_aside")
        files, aside = self._files(layer), f"/aside/{name}"
        if aside not in self.layers:
            self.layers[layer], self.layers[aside] = {}, files
        return aside

    def discard(self, path: str) -> None:
        self.layers.pop(path, None)

    def _files(self, path: str) -> dict[str, str]:
        if path not in self.layers:
            raise LayerCopyFailed(f"there is no layer {path!r}")
        return self.layers[path]

    def _fault(self, step: str) -> None:
        if error := self.fail_next.pop(step, None):
            raise error


class FakeTransfer:
    """One layer on its way: after `copy_live` the target may hold files that the source has lost since."""

    def __init__(self, home: FakeLayers, source: str, target: str, progress: Progress) -> None:
        self._home, self._source, self._target, self._progress = home, source, target, progress

    def copy_live(self) -> None:
        self._home._fault("copy_live")
        self._home._files(self._target).update(self._home._files(self._source))

    def settle(self) -> None:
        self.finish()

    def finish(self) -> None:
        self._home._fault("finish")
        size = self._home.measure(self._source)[0]
        self._progress(size, size)
        self._home._files(self._target)
        self._home.layers[self._target] = dict(self._home._files(self._source))


class FakeHost:
    """A host with the listening ports `busy`, the symlinks `links` and the living processes `alive`."""

    def __init__(self, links: Mapping[str, str] | None = None) -> None:
        self.busy: set[int] = set()
        self.links = dict(links or {})
        self.alive = {"this-process"}

    def port_free(self, port: int) -> bool:
        return port not in self.busy

    def real_directory(self, path: str) -> str:
        for link, target in self.links.items():
            if path == link or path.startswith(f"{link}/"):
                return target + path.removeprefix(link)
        return path

    def process_alive(self, token: str) -> bool:
        return token in self.alive

    def own_token(self) -> str:
        return "this-process"


def _full(image_name: str) -> str:
    return image_name if ":" in image_name else f"{image_name}:latest"


def _echo(_: FakeContainer, cmd: Sequence[str]) -> ExecResult:
    return ExecResult(" ".join(cmd[1:]) + "\n", "", 0, False)

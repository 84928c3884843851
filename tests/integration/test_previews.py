"""A preview writes nothing: of every kind, in every state of a family, over real parts that must not be called.

The states are made by gpudock itself; those of dead processes by letting one die right before a call.
"""

import json
import stat
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app import create_app, errors
from app.adapters.etcd import EtcdStore
from app.bootstrap import Services, build_backends
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
from app.model.container import Bind, ContainerPlan, Labels, PortMapping, Spec
from app.model.names import Name
from app.model.sizes import parse_size
from app.model.volume import VolumePlan
from app.operations.base import Request
from app.ports import Backends, Delete
from app.volumes.adopt import AdoptVolume
from app.volumes.create import CreateVolume
from app.volumes.delete import DeleteVolume
from app.volumes.resize import ResizeVolume
from app.volumes.rollback import RollBackVolume
from tests.support.dockerd import NODE, Dockerd
from tests.support.etcd import EtcdServer
from tests.support.images import IMAGE
from tests.support.site import Browser
from tests.support.volumes import loop_devices, mounted, remove_everything, unmount_all
from tests.support.watched import Watch, watched
from tests.support.world import CONFIG, make_world

FOO, VOL = Name("foo"), Name("vol")
BIND = Bind("vol-0", "/data")
SPEC = Spec(IMAGE, gpu_count=1, binds=(BIND,), cmd=("sleep", "600"), ports=(PortMapping(0, 80),))
PLAIN = replace(SPEC, binds=())
PULL = PullImage("127.0.0.1:9/other")  # where no registry is
REQUESTS: Mapping[type[Request[Any]], Sequence[Request[Any]]] = {
    CreateContainer: (CreateContainer("foo", SPEC), CreateContainer("foo", PLAIN), CreateContainer("new", PLAIN)),
    AdoptContainer: (AdoptContainer("theirs"), AdoptContainer("theirs", "foo"), AdoptContainer("foo-0")),
    ChangeGpus: (ChangeGpus(FOO, 4), ChangeGpus(FOO, 0), ChangeGpus(FOO, 9)),
    ChangeVolume: (ChangeVolume(FOO, BIND, Bind("vol-1", "/data")), ChangeVolume(FOO, BIND, Bind("theirs", "/data"))),
    RollBackContainer: (RollBackContainer(FOO, 0), RollBackContainer(FOO, 1)),
    RestartContainer: (RestartContainer(FOO),),
    ResumeContainer: (ResumeContainer(FOO),),
    StopContainer: (StopContainer(FOO),),
    DeleteContainer: tuple(
        DeleteContainer(Name("foo", version), force, erase)
        for version in (None, 0, 1)
        for force, erase in ((True, True), (True, False), (False, True))
    ),
    CommitContainer: (CommitContainer(FOO, "made:new"), CommitContainer(Name("foo", 0), None)),
    CreateVolume: (CreateVolume("vol", "8MB"), CreateVolume("new", "8MB")),
    AdoptVolume: (AdoptVolume("theirs", None, "8MB"), AdoptVolume("theirs", "vol", "8MB")),
    ResizeVolume: (ResizeVolume(VOL, "16MB"), ResizeVolume(VOL, "12MB"), ResizeVolume(VOL, "4KB")),
    RollBackVolume: (RollBackVolume(VOL, 0), RollBackVolume(VOL, 1)),
    DeleteVolume: tuple(
        DeleteVolume(Name("vol", version), force=True, erase=erase)
        for version in (None, 0, 1)
        for erase in (True, False)
    ),
    PullImage: (PULL, PullImage(IMAGE)),
}
ANYWHERE = {AdoptContainer, AdoptVolume, CreateContainer, CreateVolume}
ON_FOO = {ChangeGpus, ChangeVolume, RollBackContainer, RestartContainer, DeleteContainer, CommitContainer}
ON_VOL = {ResizeVolume, RollBackVolume, DeleteVolume}


@dataclass
class Site:
    """gpudock over watched real parts, and what lies below them; `state` is what `STATES` made."""

    dockerd: Dockerd
    config: Any
    parts: Backends
    watch: Watch
    state: str
    before: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_app(self.config, watched(self.parts, self.watch))
        self.services: Services = self.app.extensions["gpudock"]

    def run(self, *requests: Request[Any]) -> None:
        for request in requests:
            self.services.operations.run(request)

    def die(self, request: Request[Any], at: str) -> None:
        self.watch.leave_behind(self.services, self.parts.store, request, at)

    def operations(self) -> list[str]:
        return [entry.key.removeprefix("/operations/") for entry in self.parts.store.list("/operations/")]

    def everything(self) -> dict[str, Any]:
        """All there is: in etcd, in Docker, in its directories of volumes and layers, and what is mounted."""
        docker, root = self.parts.containers._clients.quick(), self.dockerd.data  # type: ignore[attr-defined]
        return {
            "etcd": {entry.key: (entry.revision, entry.value) for entry in self.parts.store.list("/")},
            "containers": {c["Id"]: docker.inspect_container(c["Id"]) for c in docker.containers(all=True)},
            "volumes": sorted(docker.volumes()["Volumes"] or (), key=lambda volume: str(volume["Name"])),
            "images": {i["Id"]: (i["RepoTags"], i["Labels"]) for i in docker.images(all=True)},
            "trees": {place: tree(root / place) for place in ("volumes", "gpudock", "image", "overlay2")},
            "mounts": (sorted(mounted(self.dockerd)), sorted(loop_devices(self.dockerd))),
        }

    def check_untouched(self) -> None:
        """Compare what there is with what there was when the state was made."""
        now = self.everything()
        for part, was in self.before.items():
            assert now[part] == was, part


def tree(top: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and directory below `top`, but for what is mounted for containers: mode, size and mtime.

    The kernel writes to the image of a mounted filesystem when it likes to.
    """
    found, places = {}, [top]
    for place in places:
        status = place.lstat() if place.is_symlink() or place.exists() else None
        if status is None:
            continue
        live = place.name == "image" and (place.parent / "mount").is_mount()
        found[str(place)] = (status.st_mode, status.st_size, 0 if live else status.st_mtime_ns)
        if stat.S_ISDIR(status.st_mode) and place.name != "merged":
            places.extend(place.iterdir())
    return found


# --- the states --------------------------------------------------------------------------------------------------


def nothing(site: Site) -> None:
    pass


def running(site: Site) -> None:
    site.run(CreateVolume("vol", "8MB"), CreateContainer("foo", SPEC))
    site.dockerd.docker("exec", "foo-0", "sh", "-c", "echo kept | tee /root/file >/data/file; sync")
    site.run(ResizeVolume(VOL, "12MB"), ChangeGpus(FOO, 2))


def stopped(site: Site) -> None:
    running(site)
    site.run(StopContainer(FOO))


def rebooted(site: Site) -> None:
    stopped(site)
    unmount_all(site.dockerd)


def removed(site: Site) -> None:
    stopped(site)
    site.run(DeleteContainer(FOO, True, False), DeleteVolume(VOL, True, False))


def erased(site: Site) -> None:
    """Of both families an older container and an older volume are left, which no record knows."""
    stopped(site)
    site.run(DeleteContainer(FOO, True, True), DeleteVolume(VOL, True, True))


def late(site: Site) -> None:
    """Docker made a container and a volume when their operations had been undone."""
    site.die(CreateContainer("foo", PLAIN), "containers.create")
    site.die(CreateVolume("vol", "8MB"), "volumes.create")
    left = {entry.value["resource"]: entry.value["id"] for entry in site.parts.store.list("/operations/")}
    site.services.operations.journal.recover_orphans()
    plan = ContainerPlan("foo-0", Labels(NODE, "foo", 0, left["containers"]), site.parts.images.image(IMAGE).id, PLAIN)
    site.parts.containers.start(site.parts.containers.create(plan))
    site.parts.volumes.create(VolumePlan(Labels(NODE, "vol", 0, left["volumes"]), parse_size("8MB")))


def dead(base: Callable[[Site], None], *deaths: tuple[Request[Any], str], of: Sequence[str]) -> Callable[[Site], None]:
    """Die in each request right before its first call of that name, and leave the operations `of` families."""

    def make(site: Site) -> None:
        base(site)
        for request, at in deaths:
            site.die(request, at)
        assert [key.rpartition("/")[2] for key in site.operations()] == list(of)

    return make


MORE, RESIZE = ChangeGpus(FOO, 3), ResizeVolume(VOL, "16MB")
DELETE_VOLUME = DeleteVolume(Name("vol", 1), True, False)
BOTH = ("foo", "vol")
STATES: Mapping[str, Callable[[Site], None]] = {
    "absent": nothing,
    "running": running,
    "stopped": stopped,
    "rebooted": rebooted,
    "removed": removed,
    "erased": erased,
    "late": late,
    "busy": running,
    "create dead, claimed": dead(
        nothing,
        (CreateContainer("foo", PLAIN), "images.hold_image"),
        (CreateVolume("vol", "8MB"), "volumes.create"),
        of=BOTH,
    ),
    "create dead, created": dead(nothing, (CreateContainer("foo", PLAIN), "containers.start"), of=("foo",)),
    "adoption dead, stopping": dead(nothing, (AdoptContainer("theirs", "foo"), "containers.stop"), of=("foo",)),
    "change dead, claimed": dead(
        running,
        (MORE, "images.hold_image"),
        (RESIZE, "volumes.create"),
        (PULL, "images.pull"),
        of=("foo", "other:latest", "vol"),
    ),
    "change dead, created": dead(running, (MORE, "layers.begin"), (RESIZE, "volumes.begin"), of=BOTH),
    "change dead, stopping": dead(running, (MORE, "containers.stop"), (DELETE_VOLUME, "volumes.set_aside"), of=BOTH),
    "change dead, starting": dead(
        running, (MORE, "containers.start"), (replace(DELETE_VOLUME, erase=True), "volumes.discard"), of=BOTH
    ),
    "stop dead": dead(running, (StopContainer(FOO), "containers.stop"), of=("foo",)),
    "restart dead": dead(running, (RestartContainer(FOO), "containers.start"), of=("foo",)),
    "delete dead, setting aside": dead(running, (DeleteContainer(FOO, True, False), "layers.set_aside"), of=("foo",)),
    "delete dead, removing": dead(running, (DeleteContainer(FOO, True, True), "containers.remove"), of=("foo",)),
    "commit dead": dead(running, (CommitContainer(FOO, "made:new"), "images.commit"), of=("foo",)),
}
# What is planned there, and not only refused.
PLANNED: Mapping[str, set[type]] = {
    "absent": ANYWHERE | {PullImage},
    "running": ANYWHERE | ON_FOO | ON_VOL | {StopContainer, ResumeContainer, PullImage},
    "stopped": ANYWHERE | ON_FOO | ON_VOL,
    "rebooted": ANYWHERE | ON_FOO | ON_VOL,
    "removed": ANYWHERE
    | {ChangeGpus, RestartContainer, RollBackContainer}
    | {ResizeVolume, RollBackVolume, DeleteVolume},
    "erased": {DeleteContainer, DeleteVolume},
    "late": {CreateContainer},
}


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, dockerd: Dockerd, image: str, etcd_server: EtcdServer) -> Iterator[Site]:
    """gpudock in one of the states, beside a container and a volume of somebody else."""
    state, watch = request.param, Watch()
    config = replace(
        CONFIG,
        etcd=(etcd_server.endpoint,),
        prefix=f"/previews-{uuid.uuid4().hex}",
        docker_host=dockerd.url,
        node=NODE,
        volumes="loop",
    )
    with ExitStack() as ends:
        ends.callback(remove_everything, dockerd)
        parts = build_backends(config)
        store = EtcdStore([etcd_server.endpoint], config.prefix)
        ends.callback(store.close)
        ends.callback(store.transact, {}, [Delete("/", prefix=True)])
        dockerd.docker("run", "-d", "--name", "theirs", "-v", "in-use:/data", IMAGE, "sleep", "600")
        dockerd.docker("volume", "create", "theirs")
        site = Site(dockerd, config, parts, watch, state)
        STATES[state](site)
        if state == "busy":
            for change, at in ((MORE, "containers.create"), (RESIZE, "volumes.begin"), (PULL, "images.pull")):
                ends.callback(watch.blocked(site.services, change, at))
        # So that the container's own programs write nothing more.
        subprocess.run(["sync"], check=True)
        site.before = site.everything()
        yield site


every_state = pytest.mark.parametrize("site", STATES, indirect=True)


def in_state(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("site", [name], indirect=True)


def test_every_request_has_a_case() -> None:
    registry = make_world().services.operations.runner._registry
    assert set(REQUESTS) == set(registry.requests), "add the new kind of request to REQUESTS"
    assert set().union(*PLANNED.values()) == set(REQUESTS)


@every_state
@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_a_preview_writes_nothing(site: Site, kind: type[Request[Any]]) -> None:
    previews = []
    with site.watch.nothing_written():
        for request in REQUESTS[kind]:
            previews.append(site.services.operations.preview(request))
    planned = [preview for preview in previews if preview.operation is not None]
    assert planned or kind not in PLANNED.get(site.state, ()), [preview.blocker for preview in previews]
    site.check_untouched()


CALLS: Sequence[tuple[str, str, Any]] = (
    ("POST", "/containers", {"imageName": IMAGE, "containerName": "foo", "gpuCount": 1}),
    ("PATCH", "/containers/foo/gpu", {"gpuCount": 3}),
    (
        "PATCH",
        "/containers/foo/volume",
        {"type": "volume", "oldBind": {"src": "vol-0", "dest": "/data"}, "newBind": {"src": "vol-1", "dest": "/data"}},
    ),
    ("PATCH", "/containers/foo/rollback", {"version": 0}),
    ("PATCH", "/containers/foo/stop", None),
    ("PATCH", "/containers/foo/restart", None),
    ("POST", "/containers/foo/commit", {"newImageName": "made:new"}),
    ("DELETE", "/containers/foo", {"force": True, "delEtcdInfoAndVersionRecord": True}),
    ("DELETE", "/containers/foo-0", {"force": True, "delEtcdInfoAndVersionRecord": True}),
    ("POST", "/volumes", {"name": "vol", "size": "8MB"}),
    ("PATCH", "/volumes/vol/size", {"size": "16MB"}),
    ("PATCH", "/volumes/vol/rollback", {"version": 0}),
    ("DELETE", "/volumes/vol-1", {"force": True, "delEtcdInfoAndVersionRecord": False}),
    ("POST", "/images/pull", {"image": PULL.name}),
    ("POST", "/images/prune", {"untaggedOnly": False}),
)
PAGES = (
    "/containers/foo/gpus?count=3",
    "/containers/foo/volume?dest=/data&source=vol-1",
    "/containers/foo-0/rollback",
    "/containers/foo/stop",
    "/containers/foo/restart",
    "/containers/foo/delete",
    "/containers/foo-0/delete",
    "/volumes/vol/resize?size=16MB",
    "/volumes/vol-0/rollback",
    "/volumes/vol/delete",
    "/volumes/vol-1/delete",
)
FORMS = (
    ("/create/container", {"name": "foo", "image": IMAGE, "gpus": "1"}),
    ("/create/container", {"name": "new", "image": IMAGE, "gpus": "1"}),
    ("/create/volume", {"name": "vol", "size": "8MB"}),
    ("/create/volume", {"name": "new", "size": "8MB"}),
)


@every_state
def test_a_dry_run_writes_nothing(site: Site) -> None:
    client, answers = site.app.test_client(), {}
    with site.watch.nothing_written():
        for method, path, body in CALLS:
            key = {"Idempotency-Key": "the same for all"}
            answer = client.open(f"/api/v1{path}?dryRun=true", method=method, json=body, headers=key)
            answers[method, path] = answer.status_code, json.loads(answer.text)
    site.check_untouched()
    for call, (status, body) in answers.items():
        assert (status, body["code"]) == (200, 200), (call, body)


@every_state
def test_what_pages_show_before_a_change_writes_nothing(site: Site) -> None:
    browser = Browser(site.app.test_client())
    with site.watch.nothing_written():
        for path in PAGES:
            assert browser.get(path).status_code in (200, 404), path
        for path, fields in FORMS:
            checked = browser.submit(path, path, wish="check", once=uuid.uuid4().hex, **fields)
            assert checked.status_code == 200, checked.text
    site.check_untouched()


# --- what once went wrong ----------------------------------------------------------------------------------------


@in_state("late")
def test_previewing_a_create_leaves_a_running_container_that_an_undone_operation_left(site: Site) -> None:
    with site.watch.nothing_written():
        told = site.services.operations.preview(CreateContainer("foo", PLAIN))
    assert told.blocker is None and told.operation and told.operation.name == "foo-0"
    assert site.dockerd.docker("inspect", "--format", "{{.State.Status}}", "foo-0") == "running"


@in_state("change dead, starting")
def test_previewing_a_gpu_change_leaves_what_a_dead_process_was_at(site: Site) -> None:
    left = site.parts.store.get("/operations/containers/foo")
    with site.watch.nothing_written():
        told = site.services.operations.preview(ChangeGpus(FOO, 4))
    assert isinstance(told.blocker, errors.OperationRunning) and "recovers that one first" in told.blocker.message
    assert left is not None and site.parts.store.get("/operations/containers/foo") == left
    assert site.dockerd.docker("inspect", "--format", "{{.State.Status}}", "foo-2") == "created"


@in_state("erased")
def test_previewing_the_deletion_of_an_unrecorded_container_leaves_it(site: Site) -> None:
    with site.watch.nothing_written():
        told = site.services.operations.preview(DeleteContainer(Name("foo", 0), force=True, erase=True))
    assert told.operation and told.operation.name == "foo-0"
    assert site.dockerd.docker("inspect", "--format", "{{.State.Status}}", "foo-0") == "exited"


@in_state("removed")
def test_previewing_a_resize_leaves_data_that_was_set_aside_unmounted(site: Site) -> None:
    assert not [point for point in mounted(site.dockerd) if "vol-1." in str(point)]
    with site.watch.nothing_written():
        told = site.services.operations.preview(ResizeVolume(Name("vol", None), "16MB"))
    assert told.operation and told.operation.name == "vol-2" and told.files == 2
    assert not [point for point in mounted(site.dockerd) if "vol-1." in str(point)]

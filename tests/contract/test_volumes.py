"""What services may expect of volumes: of those in memory, and of real ones in the ways that work on any host."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.adapters.docker.client import Clients
from app.adapters.volumes.sized import SizedVolumes
from app.errors import LayerCopyFailed, Unavailable, VolumeDeleteFailed, VolumeExists, VolumeInUse, VolumeNotFound
from app.model.container import Bind, ContainerPlan, Labels, Spec
from app.model.sizes import parse_size
from app.model.volume import LOOP, NONE, Usage, VolumePlan
from app.ports import Volumes
from tests.support.dockerd import NODE, Dockerd
from tests.support.engine import DockerEngine
from tests.support.fake_engine import FakeEngine
from tests.support.fake_volumes import FakeVolumes
from tests.support.images import IMAGE
from tests.support.volumes import remove_everything, wait_for_the_next_stamp

MB = 1 << 20


@dataclass
class Bench:
    """Volumes made in one way, and what a container does with them."""

    volumes: Volumes
    engine: FakeEngine | DockerEngine
    way: str
    write: Callable[[str, str, str], None]
    read: Callable[[str], dict[str, str]]
    add_foreign: Callable[[str], object]

    def plan(self, version: int = 0, size: str = "8MB", family: str = "vol", operation: str = "") -> VolumePlan:
        labels = Labels(NODE, family, version, operation or f"op{secrets.token_hex(4)}")
        return VolumePlan(labels, parse_size(size))

    def create(self, version: int = 0, size: str = "8MB", family: str = "vol") -> str:
        plan = self.plan(version, size, family)
        self.volumes.create(plan)
        return plan.name

    def container(self, volume: str, running: bool = False) -> str:
        labels = Labels(NODE, "user", 0, f"op{secrets.token_hex(4)}")
        spec = Spec(IMAGE, cmd=("sleep", "600"), binds=(Bind(volume, "/v"),))
        identity = self.engine.create(ContainerPlan("user-0", labels, self.engine.image(IMAGE).id, spec))
        if running:
            self.engine.start(identity)
        return identity

    def carry(self, source: str, target: str) -> None:
        self.volumes.begin(source, target, lambda _done, _total: None).finish()


@pytest.fixture(params=["memory loop", "memory none", "docker loop", "docker none"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    kind, way = request.param.split()
    if kind == "memory":
        fake = FakeEngine(NODE)
        volumes = FakeVolumes(fake, way)
        yield Bench(volumes, fake, way, volumes.write, lambda place: volumes.files[place], fake.volumes.add)
        return
    dockerd: Dockerd = request.getfixturevalue("dockerd")
    engine: DockerEngine = request.getfixturevalue("engine")
    yield from real_bench(dockerd, engine, way)


def real_bench(dockerd: Dockerd, engine: DockerEngine, way: str) -> Iterator[Bench]:
    """The bench of a real Docker, and the removal of everything in it."""
    real = SizedVolumes(Clients(dockerd.url), NODE, way)

    def write(volume: str, path: str, content: str) -> None:
        wait_for_the_next_stamp()
        (Path(real.data_path(volume)) / path).write_text(content)

    yield Bench(real, engine, way, write, read, lambda name: dockerd.docker("volume", "create", name))
    remove_everything(dockerd)


def read(place: str) -> dict[str, str]:
    top = Path(place)
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


def test_the_way_is_the_setting(bench: Bench) -> None:
    assert bench.volumes.driver() == bench.way


def test_a_new_volume_is_empty_and_there(bench: Bench) -> None:
    name = bench.create()
    assert bench.engine.volume_exists(name)
    assert bench.read(bench.volumes.data_path(name)) == {}
    usage = bench.volumes.usage(name)
    assert usage is not None
    if bench.way == NONE:
        assert usage == Usage()
        return
    assert usage.used == usage.files == 0
    assert usage.capacity is not None
    assert 8 * MB <= usage.capacity <= 8.3 * MB


def test_what_an_operation_made_is_adopted_with_what_is_in_it(bench: Bench) -> None:
    plan = bench.plan()
    bench.volumes.create(plan)
    bench.write(plan.name, "kept", "x")
    bench.volumes.create(plan)
    assert bench.read(bench.volumes.data_path(plan.name)) == {"kept": "x"}


def test_a_name_of_another_operation_is_left_alone(bench: Bench) -> None:
    name = bench.create()
    bench.write(name, "kept", "x")
    with pytest.raises(VolumeExists):
        bench.create()
    assert bench.read(bench.volumes.data_path(name)) == {"kept": "x"}


def test_a_name_of_somebody_else_is_left_alone(bench: Bench) -> None:
    bench.add_foreign("vol-0")
    plan = bench.plan()
    with pytest.raises(VolumeExists):
        bench.volumes.create(plan)
    bench.volumes.undo(plan.labels.operation)
    assert bench.engine.volume_exists("vol-0")
    bench.volumes.ensure_mounted(["vol-0"])
    assert bench.volumes.usage("vol-0") == Usage()
    assert bench.volumes.data_path("vol-0")
    for act in (bench.volumes.discard, lambda name: bench.volumes.set_aside(name, bench.way)):
        with pytest.raises(VolumeDeleteFailed):
            act("vol-0")
    assert bench.engine.volume_exists("vol-0")


def test_what_is_not_there(bench: Bench) -> None:
    assert bench.volumes.usage("vol-0") is None
    assert bench.volumes.names("vol") == []
    with pytest.raises(VolumeNotFound):
        bench.volumes.data_path("vol-0")
    with pytest.raises(VolumeNotFound):
        bench.volumes.ensure_mounted(["vol-0"])
    with pytest.raises(VolumeNotFound):
        bench.volumes.set_aside("vol-0", bench.way)
    bench.volumes.discard("vol-0")
    bench.volumes.undo("opabsent")


def test_names_are_those_of_the_family(bench: Bench) -> None:
    bench.create(0)
    bench.create(10)
    bench.create(0, family="volume")
    bench.add_foreign("vol-3")
    assert bench.volumes.names("vol") == ["vol-0", "vol-10"]
    assert bench.volumes.made().keys() == {"vol-0", "vol-10", "volume-0"}


def test_which_operation_made_a_volume_is_told(bench: Bench) -> None:
    assert bench.volumes.made() == {}
    plan = bench.plan()
    bench.volumes.create(plan)
    assert bench.volumes.made() == {plan.name: plan.labels.operation}


def test_usage_and_measure_follow_what_is_written(bench: Bench) -> None:
    name = bench.create()
    bench.write(name, "large", "x" * 3 * MB)
    bench.volumes.sync(bench.volumes.data_path(name))
    room, files = bench.volumes.measure(bench.volumes.data_path(name))
    assert 3 * MB <= room <= 3.1 * MB
    assert files == 1
    if bench.way != NONE:
        usage = bench.volumes.usage(name)
        assert usage is not None
        assert (usage.used, usage.files) == (room, files)
    free = bench.volumes.free_bytes()
    assert free > MB
    (disk,) = bench.volumes.disks()  # there is but one here
    assert disk.path.startswith("/") and disk.total >= disk.free > MB and abs(disk.free - free) < disk.total / 10


def test_a_full_volume_has_no_space(bench: Bench) -> None:
    if bench.way == NONE:
        bench.write(bench.create(size="4MB"), "large", "x" * 5 * MB)
        return
    with pytest.raises(OSError, match="No space left"):
        bench.write(bench.create(size="4MB"), "large", "x" * 5 * MB)


def test_all_are_told_at_once(bench: Bench) -> None:
    names = [bench.create(0), bench.create(1)]
    bench.add_foreign("foreign")
    assert bench.volumes.usages() == {name: bench.volumes.usage(name) for name in names}


def test_the_last_change_shows_every_change(bench: Bench) -> None:
    place = bench.volumes.data_path(bench.create())
    before = bench.volumes.last_change(place)
    assert bench.volumes.last_change(place) == before
    bench.write("vol-0", "new", "x")
    assert bench.volumes.last_change(place) > before


def test_data_is_carried_whatever_was_there(bench: Bench) -> None:
    old, new = bench.create(0), bench.create(1, "12MB")
    bench.write(old, "kept", "x" * 1000)
    bench.write(new, "other", "y")
    transfer = bench.volumes.begin(
        bench.volumes.data_path(old), bench.volumes.data_path(new), lambda _done, _total: None
    )
    transfer.copy_live()
    bench.write(old, "later", "z")
    transfer.settle()
    transfer.finish()
    assert bench.read(bench.volumes.data_path(new)) == {"kept": "x" * 1000, "later": "z"}


def test_data_that_does_not_fit_is_refused(bench: Bench) -> None:
    if bench.way == NONE:
        return
    old, new = bench.create(0), bench.create(1, "1MB")
    bench.write(old, "large", "x" * 3 * MB)
    with pytest.raises(Unavailable) as refused:
        bench.carry(bench.volumes.data_path(old), bench.volumes.data_path(new))
    assert refused.value.part == "disk"


def test_a_place_is_carried_to_a_volume_only(bench: Bench) -> None:
    place = bench.volumes.data_path(bench.create())
    for source, target in ((place, place), ("", place), (place, ""), ("/absent", place), (place, "/tmp")):
        with pytest.raises(LayerCopyFailed):
            bench.carry(source, target)


def test_data_set_aside_is_found_again(bench: Bench) -> None:
    name = bench.create()
    bench.write(name, "kept", "x")
    aside = bench.volumes.set_aside(name, bench.way)
    assert not bench.engine.volume_exists(name)
    assert bench.volumes.set_aside(name, bench.way) == aside
    assert bench.volumes.measure(aside)[1] == 1
    bench.carry(aside, bench.volumes.data_path(bench.create(1)))
    assert bench.read(bench.volumes.data_path("vol-1")) == {"kept": "x"}
    bench.volumes.discard_aside(aside)
    bench.volumes.discard_aside(aside)
    with pytest.raises(LayerCopyFailed):
        bench.carry(aside, bench.volumes.data_path("vol-1"))


def test_only_what_was_set_aside_is_deleted_as_such(bench: Bench) -> None:
    place = bench.volumes.data_path(bench.create())
    for other in (place, "", "/", "/tmp"):
        with pytest.raises(VolumeDeleteFailed):
            bench.volumes.discard_aside(other)
    assert bench.read(place) == {}


def test_a_name_whose_data_was_set_aside_is_free_again(bench: Bench) -> None:
    name = bench.create()
    bench.write(name, "first", "x")
    bench.volumes.set_aside(name, bench.way)
    assert bench.read(bench.volumes.data_path(bench.create())) == {}


@pytest.mark.parametrize("running", [False, True])
def test_nothing_is_set_aside_that_a_container_has(bench: Bench, running: bool) -> None:
    name = bench.create()
    bench.write(name, "kept", "x")
    bench.container(name, running)
    with pytest.raises(VolumeInUse) as refused:
        bench.volumes.set_aside(name, bench.way)
    assert refused.value.data == {"containers": ["user-0"]}
    assert bench.read(bench.volumes.data_path(name)) == {"kept": "x"}


def test_a_discarded_volume_is_gone(bench: Bench) -> None:
    name = bench.create()
    place = bench.volumes.data_path(name)
    bench.write(name, "large", "x" * MB)
    bench.volumes.discard(name)
    bench.volumes.discard(name)
    assert not bench.engine.volume_exists(name)
    with pytest.raises(LayerCopyFailed):
        bench.volumes.measure(place)


def test_a_running_container_keeps_its_volume(bench: Bench) -> None:
    name = bench.create()
    bench.write(name, "kept", "x")
    bench.container(name, running=True)
    with pytest.raises(VolumeInUse) as refused:
        bench.volumes.discard(name)
    assert refused.value.data == {"containers": ["user-0"]}
    assert bench.read(bench.volumes.data_path(name)) == {"kept": "x"}


def test_a_stopped_container_keeps_an_empty_one(bench: Bench) -> None:
    name = bench.create()
    bench.write(name, "large", "x" * MB)
    identity = bench.container(name, running=True)
    bench.engine.stop(identity)
    bench.volumes.discard(name)
    assert bench.engine.volume_exists(name)
    if bench.way == LOOP:
        assert bench.volumes.usage(name) is None
        with pytest.raises(VolumeNotFound):
            bench.volumes.ensure_mounted([name])
    else:
        assert bench.read(bench.volumes.data_path(name)) == {}
    bench.engine.remove(identity)
    bench.volumes.discard(name)
    assert not bench.engine.volume_exists(name)


def test_undo_takes_what_that_operation_made(bench: Bench) -> None:
    other, plan = bench.create(0), bench.plan(1)
    bench.volumes.create(plan)
    bench.volumes.undo(plan.labels.operation)
    bench.volumes.undo(plan.labels.operation)
    assert (bench.engine.volume_exists(other), bench.engine.volume_exists(plan.name)) == (True, False)
    assert bench.engine.list() == []


def test_a_ready_volume_can_be_mounted(bench: Bench) -> None:
    name = bench.create()
    bench.volumes.ensure_mounted([name])
    bench.volumes.ensure_mounted([name, name])
    identity = bench.container(name, running=True)
    seen = bench.engine.inspect(identity)
    assert seen is not None
    assert seen.running

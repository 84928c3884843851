from collections.abc import Callable

import pytest

from app import errors
from app.model.adoption import ALL_GPUS
from app.model.container import Bind, Image, PortMapping
from app.model.gpu import GpuProcess
from app.model.names import Name
from app.model.operation import Operation
from app.ports import Put
from app.state.codec import encode, read
from app.state.keys import operation_key
from tests.support.world import World, spec

PORTS = (PortMapping(2333, 22),)


@pytest.fixture
def mine(world: World) -> World:
    """A container that somebody made, with a file, a port, an environment and two GPUs."""
    world.engine.volumes.add("plain")
    wanted = spec(env=("A=b",), ports=PORTS, binds=(Bind("plain", "/plain"), Bind("/data/x", "/x")))
    identity = world.engine.add_foreign("mine", spec=wanted, wants=2)
    world.files("mine")["vim"] = "installed"
    world.host.busy.add(2333)  # its own
    busy = GpuProcess(4242, 1 << 30, identity)
    world.inventory.changes = {index: {"processes": (busy,)} for index in range(8)}
    return world


def unchanged(world: World, name: str = "mine") -> None:
    """Nothing is left of an adoption that did not come about, and the container runs."""
    assert world.containers() == {name: "running"}
    assert world.stored() == [] and world.engine.held == set() and world.in_use() == _busy(world)


def _busy(world: World) -> set[str]:
    return {gpu.uuid for gpu in world.inventory.gpus() if gpu.processes}


def test_a_container_goes_on_as_version_0_with_everything(mine: World) -> None:
    made = mine.services.containers.adopt("mine")
    assert made.name == "mine-0" and mine.containers() == {"mine": "exited", "mine-0": "running"}
    assert mine.files("mine-0") == mine.files("mine") == {"vim": "installed"}
    record = mine.services.containers.records.version(Name("mine"))
    assert (record.why, record.parent, record.container_id) == ("adopt", None, made.id)
    assert record.spec == spec(
        env=("A=b",), ports=PORTS, binds=(Bind("plain", "/plain"), Bind("/data/x", "/x")), gpu_count=2
    )
    claims = mine.services.containers.records.claims()
    assert set(claims.gpus_of("mine")) == set(record.gpus) and len(record.gpus) == 2
    assert claims.ports_of("mine") == [2333]
    assert mine.stored("/operations/") == [] and mine.services.containers.queries.page().containers[0].drift == ()
    assert mine.services.containers.change_gpus(Name("mine"), 1).name == "mine-1"
    assert mine.files("mine-1") == {"vim": "installed"}


def test_another_family_can_be_named_and_must_be_if_the_name_is_illegal(mine: World) -> None:
    mine.engine.add_foreign("my-app")
    with pytest.raises(errors.NameIllegal, match="--as"):
        mine.services.containers.adopt("my-app")
    with pytest.raises(errors.ContainerNameHasDash):
        mine.services.containers.adopt("my-app", "my-app")
    assert mine.services.containers.adopt("my-app", "app").name == "app-0"
    assert mine.services.containers.adopt("mine", "ours").name == "ours-0"


def test_gpus_that_it_names_are_kept_by_uuid_or_index(mine: World) -> None:
    uuids = mine.inventory.uuids()
    mine.engine.add_foreign("named", wants=(uuids[5], "2"))
    mine.inventory.changes = {}
    mine.services.containers.adopt("named")
    assert mine.in_use() == {uuids[5], uuids[2]}


def test_gpus_that_it_names_and_another_holds_are_a_refusal_that_names_them(mine: World) -> None:
    mine.inventory.changes = {}
    mine.services.containers.create("other", spec(gpu_count=7))
    (free,) = set(mine.inventory.uuids()) - mine.in_use()
    taken = sorted(mine.in_use())[0]
    mine.engine.add_foreign("named", wants=(free, taken))
    with pytest.raises(errors.NotEnoughGpus, match=taken):
        mine.services.containers.adopt("named")
    mine.engine.add_foreign("odd", wants=("GPU-nowhere",))
    with pytest.raises(errors.GpuNotFound, match="GPU-nowhere"):
        mine.services.containers.adopt("odd")
    assert mine.services.containers.records.find("named") is None and len(mine.in_use()) == 7


def test_one_that_asked_for_all_gpus_gets_all_or_nothing(mine: World) -> None:
    mine.engine.add_foreign("greedy", wants=ALL_GPUS)
    with pytest.raises(errors.NotEnoughGpus):  # "mine" works on them
        mine.services.containers.adopt("greedy")
    mine.inventory.changes = {}
    mine.services.containers.adopt("greedy")
    assert len(mine.in_use()) == 8


def test_a_stopped_one_is_started_like_any_new_container(mine: World) -> None:
    mine.engine.add_foreign("tired", state="exited")
    assert mine.services.containers.adopt("tired").name == "tired-0"
    assert mine.containers()["tired"] == "exited" and mine.containers()["tired-0"] == "running"


def test_anonymous_volumes_go_along_and_are_not_removed_by_an_undoing(mine: World) -> None:
    mine.engine.images["busybox:test"] = Image("sha256:" + "b" * 64, volumes=("/var",))
    old = next(iter(mine.engine.containers.values()))
    old.anonymous, mine.engine.volumes = {"/var": "f" * 64}, {"plain", "f" * 64}
    mine.engine.fail_next["start"] = errors.StartFailed("broken on purpose")
    with pytest.raises(errors.AdoptionFailed):
        mine.services.containers.adopt("mine")
    assert "f" * 64 in mine.engine.volumes
    mine.services.containers.adopt("mine")
    assert mine.services.containers.records.version(Name("mine")).anonymous == {"/var": "f" * 64}


@pytest.mark.parametrize("step", ["create", "stop", "start", "copy_live", "finish", "differences"])
def test_a_failure_at_any_step_lets_the_old_one_run_on(mine: World, step: str) -> None:
    faults = mine.layers.fail_next if step in ("copy_live", "finish") else mine.engine.fail_next
    faults[step] = errors.OperationFailed("broken on purpose")
    with pytest.raises(errors.AdoptionFailed, match="broken on purpose"):
        mine.services.containers.adopt("mine")
    unchanged(mine)
    assert mine.services.containers.adopt("mine").name == "mine-0"


def test_settings_that_would_be_lost_are_named_and_nothing_is_changed(mine: World) -> None:
    identity = mine.engine.add_foreign("odd", peculiar=("--privileged", "--restart"))
    with pytest.raises(errors.AdoptionRefused, match=r"--privileged, --restart.*docker update") as caught:
        mine.services.containers.adopt("odd")
    assert caught.value.data == {"settings": ["--privileged", "--restart"]}
    mine.engine.remove(identity)
    unchanged(mine)
    assert ("stop", identity) not in mine.engine.calls


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"binds": (Bind("/etc", "/x"),)}, errors.BindRefused),
        ({"env": ("NVIDIA_VISIBLE_DEVICES=all",)}, errors.EnvRefused),
        ({"binds": (Bind("nosuch", "/x"),)}, errors.VolumeNotFound),
    ],
)
def test_what_a_create_refuses_an_adoption_refuses(
    world: World, changes: dict[str, object], error: type[Exception]
) -> None:
    world.engine.add_foreign("odd", spec=spec(**changes))
    with pytest.raises(error):
        world.services.containers.adopt("odd")
    unchanged(world, "odd")


def test_ours_paused_ones_and_absent_ones_are_refused(world: World) -> None:
    world.services.containers.create("foo", spec())
    world.engine.add_foreign("frozen", state="paused")
    for name, error in (
        ("foo-0", errors.AlreadyManaged),
        ("frozen", errors.AdoptionRefused),
        ("nosuch", errors.ContainerNotFound),
    ):
        with pytest.raises(error, match=name):
            world.services.containers.adopt(name, "bar")
    world.engine.add_foreign("foo")
    with pytest.raises(errors.ContainerExists):
        world.services.containers.adopt("foo")
    world.engine.add_foreign("bar-0")
    with pytest.raises(errors.ContainerExists):  # of that name there can be one only
        world.services.containers.adopt("bar-0", "bar")
    assert world.services.containers.records.find("bar") is None and world.containers()["bar-0"] == "running"


@pytest.mark.parametrize("step", ["claimed", "copying", "starting"])
def test_an_adoption_of_a_dead_process_is_undone(mine: World, step: str) -> None:
    """As another process finds it: the new container is there, the old one may be stopped."""
    mine.layers.fail_next["finish"] = _Killed("gone")
    with pytest.raises(_Killed):
        _without_settling(mine, lambda: mine.services.containers.adopt("mine"))
    entry = mine.store.get(operation_key("containers", "mine"))
    assert entry and mine.containers()["mine-0"] == "created"
    operation = read(Operation, entry).at(step).owned_by("dead-process")
    mine.store.transact({}, [Put(entry.key, encode(operation))])
    mine.engine.stop("mine")
    assert mine.services.operations.journal.recover_orphans() == 1
    unchanged(mine)


class _Killed(errors.DomainError):
    """Stands for the death of a process: nobody settles."""


def _without_settling(world: World, work: Callable[[], object]) -> None:
    journal = world.services.operations.journal
    recover, journal.recover = journal.recover, lambda *_: None  # type: ignore[method-assign]
    try:
        work()
    finally:
        journal.recover = recover  # type: ignore[method-assign]


@pytest.fixture
def plain(world: World) -> World:
    """A volume that somebody made, with a file in it."""
    world.engine.volumes.add("plain")
    world.volumes.write("plain", "file", "x" * 5000)
    return world


def test_a_volume_goes_on_as_version_0_with_its_data(plain: World) -> None:
    record = plain.services.volumes.adopt("plain", None, "1MB").record
    assert (record.name, record.size, record.why, record.parent) == ("plain-0", "1MB", "adopt", None)
    assert plain.volumes.files["/volumes/plain-0"] == plain.volumes.files["/volumes/plain"] == {"file": "x" * 5000}
    assert "/volumes/plain-0" in plain.volumes.synced and "plain" in plain.engine.volumes
    assert plain.services.volumes.adopt("plain", "other", "1MB").record.name == "other-0"


def test_a_volume_that_does_not_fit_changes_nothing(plain: World) -> None:
    with pytest.raises(errors.VolumeTooSmall) as caught:
        plain.services.volumes.adopt("plain", None, "4KB")
    assert caught.value.data == {"used": 5000, "size": 4096}
    plain.volumes.free = 5000
    with pytest.raises(errors.Unavailable):
        plain.services.volumes.adopt("plain", None, "1MB")
    assert plain.stored() == [] and plain.engine.volumes == {"plain"}


def test_a_volume_that_a_running_container_has_is_refused(plain: World) -> None:
    plain.engine.add_foreign("reader", spec=spec(binds=(Bind("plain", "/x"),)))
    with pytest.raises(errors.VolumeInUse, match="reader"):
        plain.services.volumes.adopt("plain", None, "1MB")
    plain.engine.stop("reader")
    assert plain.services.volumes.adopt("plain", None, "1MB").record.name == "plain-0"


def test_a_container_that_starts_on_it_meanwhile_undoes_it(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = plain.volumes.begin

    def slow(*args: object) -> object:
        plain.engine.add_foreign("writer", spec=spec(binds=(Bind("plain", "/x"),)))
        return begin(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(plain.volumes, "begin", slow)
    with pytest.raises(errors.VolumeInUse, match="writer"):
        plain.services.volumes.adopt("plain", None, "1MB")
    assert plain.stored() == [] and plain.engine.volumes == {"plain"}


def test_volumes_that_cannot_be_taken_in(plain: World) -> None:
    plain.services.volumes.create("data", "1MB")
    plain.engine.volumes |= {"nfs", "my-data"}
    plain.engine.options["nfs"] = {"type": "nfs"}
    for name, error in (
        ("data-0", errors.AlreadyManaged),
        ("nfs", errors.AdoptionRefused),
        ("nosuch", errors.VolumeNotFound),
        ("my-data", errors.NameIllegal),
    ):
        with pytest.raises(error, match=name):
            plain.services.volumes.adopt(name, None, "1MB")
    with pytest.raises(errors.VolumeExists):
        plain.services.volumes.adopt("plain", "data", "1MB")
    with pytest.raises(errors.SizeUnitUnsupported):
        plain.services.volumes.adopt("plain", None, "1 apple")


@pytest.mark.parametrize("step", ["create", "finish", "sync", "last_change"])
def test_a_failed_adoption_of_a_volume_leaves_nothing_behind(plain: World, step: str) -> None:
    plain.volumes.fail_next[step] = errors.OperationFailed("broken on purpose")
    with pytest.raises(errors.AdoptionFailed, match="broken on purpose"):
        plain.services.volumes.adopt("plain", None, "1MB")
    assert plain.stored() == [] and plain.engine.volumes == {"plain"}
    assert plain.services.volumes.adopt("plain", None, "1MB").record.name == "plain-0"

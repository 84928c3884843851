import pytest

from app import errors
from app.model.container import Bind, Image, PortMapping
from tests.support.world import World, spec


def test_a_container_gets_its_gpus_and_is_version_0(world: World) -> None:
    made = world.services.containers.create("foo", spec(gpu_count=3))
    assert made.name == "foo-0"
    assert world.containers() == {"foo-0": "running"}
    plan = world.engine.containers[made.id].plan
    assert plan is not None and set(plan.gpus) == world.in_use() and len(plan.gpus) == 3


def test_too_few_gpus_leave_nothing_behind(world: World) -> None:
    world.services.containers.create("foo", spec(gpu_count=6))
    with pytest.raises(errors.NotEnoughGpus) as caught:
        world.services.containers.create("bar", spec(gpu_count=3))
    assert caught.value.data == {"requested": 3, "free": 2, "total": 8}
    assert not [key for key in world.stored() if "bar" in key]
    assert len(world.in_use()) == 6


@pytest.mark.parametrize("step", ["create", "start", "hold_image"])
def test_a_failed_create_undoes_everything_and_consumes_no_version(world: World, step: str) -> None:
    world.engine.fail_next[step] = errors.StartFailed("broken on purpose")
    with pytest.raises(errors.StartFailed):
        world.services.containers.create("foo", spec(gpu_count=2, ports=(PortMapping(0, 80),)))
    assert world.stored() == [] and world.containers() == {} and world.engine.held == set()
    assert world.services.containers.create("foo", spec()).name == "foo-0"


def test_a_failed_create_removes_the_anonymous_volumes_that_docker_made(world: World) -> None:
    world.engine.images["busybox:test"] = Image("sha256:" + "c" * 64, volumes=("/data",))
    world.engine.fail_next["start"] = errors.StartFailed("broken on purpose")
    with pytest.raises(errors.StartFailed):
        world.services.containers.create("foo", spec())
    assert world.engine.volumes == set()


def test_a_name_is_taken_once(world: World) -> None:
    world.services.containers.create("foo", spec())
    with pytest.raises(errors.ContainerExists):
        world.services.containers.create("foo", spec())


def test_a_name_that_a_foreign_container_has_is_refused(world: World) -> None:
    world.engine.add_foreign("foo-0")
    with pytest.raises(errors.ContainerExists):
        world.services.containers.create("foo", spec(gpu_count=1))
    assert world.stored() == [] and world.containers() == {"foo-0": "running"}


def test_a_missing_image_is_named(world: World) -> None:
    with pytest.raises(errors.ImageNotFound, match="nosuch"):
        world.services.containers.create("foo", spec(image="nosuch"))


def test_binds_must_come_from_the_roots_also_through_symlinks(world: World) -> None:
    world.host.links["/data/escape"] = "/etc"
    world.host.links["/data/inner"] = "/data/real"
    for src in ("/etc", "/data/escape", "/database", "/data/../etc"):
        with pytest.raises(errors.BindRefused):
            world.services.containers.create("foo", spec(binds=(Bind(src, "/x"),)))
    made = world.services.containers.create("foo", spec(binds=(Bind("/data/inner/a", "/x"),)))
    plan = world.engine.containers[made.id].plan
    assert plan is not None and plan.spec.binds == (Bind("/data/real/a", "/x"),)


def test_a_bind_of_a_missing_volume_is_refused(world: World) -> None:
    with pytest.raises(errors.VolumeNotFound, match="veil-0"):
        world.services.containers.create("foo", spec(binds=(Bind("veil-0", "/x"),)))
    assert world.engine.volumes == set()


def test_ports_are_held_and_chosen_from_the_range(world: World) -> None:
    world.services.containers.create("foo", spec(ports=(PortMapping(2333, 22), PortMapping(0, 80))))
    ports = world.services.containers.queries.page().containers[0].newest.spec.ports
    assert ports[0] == PortMapping(2333, 22) and 40000 <= ports[1].host <= 40099
    with pytest.raises(errors.PortTaken):
        world.services.containers.create("bar", spec(ports=(PortMapping(2333, 22),)))
    world.host.busy.add(2444)
    with pytest.raises(errors.PortTaken):
        world.services.containers.create("bar", spec(ports=(PortMapping(2444, 22),)))


def test_an_exhausted_port_range_is_said(world: World) -> None:
    world.host.busy.update(range(40000, 40100))
    with pytest.raises(errors.PortTaken, match="GPUDOCK_PORT_RANGE"):
        world.services.containers.create("foo", spec(ports=(PortMapping(0, 80),)))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"image": ""}, errors.ImageNameMissing),
        ({"gpu_count": -1}, errors.GpuCountNegative),
        ({"gpu_count": 10**30}, errors.InvalidRequest),
        ({"env": ("NOEQUALS",)}, errors.EnvRefused),
        ({"env": ("=value",)}, errors.EnvRefused),
        ({"env": ("NVIDIA_VISIBLE_DEVICES=all",)}, errors.EnvRefused),
        ({"env": ("LD_PRELOAD=/x.so",)}, errors.EnvRefused),
        ({"binds": (Bind("/data/a", "/"),)}, errors.BindRefused),
        ({"binds": (Bind("/data/a", "//"),)}, errors.BindRefused),
        ({"binds": (Bind("/data/a", "relative"),)}, errors.BindRefused),
        ({"binds": (Bind("/data/a", "/x"), Bind("/data/b", "/x/"))}, errors.BindRefused),
        ({"ports": (PortMapping(1, 65536),)}, errors.InvalidRequest),
        ({"ports": (PortMapping(80, 1), PortMapping(80, 2))}, errors.InvalidRequest),
    ],
)
def test_bad_input_is_refused_before_anything_happens(
    world: World, changes: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        world.services.containers.create("foo", spec(**changes))
    assert world.stored() == [] and world.engine.calls == []

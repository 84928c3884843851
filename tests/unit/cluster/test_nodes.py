"""Two nodes on one store: what each shows of the other, where new things go, and when reports are written."""

from dataclasses import dataclass, replace

import pytest

from app import alerts, errors
from app.agent.leadership import Leadership
from app.errors import OnAnotherNode, Unavailable
from app.model.alerts import DiskSpace
from app.model.container import Bind
from app.model.gpu import GpuProcess
from app.model.names import VOLUME, Name, parse
from app.model.node import Node
from app.model.volume import Usage
from app.ports import Delete
from app.state.keys import agent_key
from tests.support.fake_engine import FakeHost
from tests.support.volumes import wait_for
from tests.support.world import CONFIG, World, make_world, spec

URL = "http://two.test"


@dataclass
class Pair:
    one: World
    two: World

    def tell(self) -> None:
        """Both tell how their things are."""
        for world, url in ((self.one, "http://one.test"), (self.two, URL)):
            assert world.services.agent.reconciler.leadership.acquire()
            world.services.agent.presence.report()
            world.services.agent.presence.beat(url)

    def lose_two(self) -> None:
        """As if two had died a while ago."""
        self.one.store.transact({}, [Delete(agent_key("two"))])


@pytest.fixture
def nodes() -> Pair:
    one = make_world(replace(CONFIG, node="one", simulated_gpus=4))
    two = make_world(replace(CONFIG, node="two", simulated_gpus=4), one.store)
    pair = Pair(one, two)
    pair.tell()
    return pair


def container_id(world: World, name: str) -> str:
    inspected = world.engine.inspect(name)
    assert inspected is not None
    return inspected.id


def states(world: World, **filters: str) -> dict[str, str]:
    return {view.newest.name: view.state for view in world.services.containers.queries.page(**filters).containers}  # type: ignore[arg-type]


def volumes(world: World, **filters: str) -> dict[str, str]:
    page = world.services.volumes.queries.page(**filters)  # type: ignore[arg-type]
    return {view.newest.record.name: view.newest.state for view in page.volumes}


def placed(world: World, node: str | None = None, **fields: object) -> str:
    """The node on which a container with that spec is to be made."""
    try:
        world.services.placement.container("new", spec(**fields), node)
    except OnAnotherNode as exc:
        return exc.node
    return world.services.config.node


def free(world: World, node: str) -> int:
    return list(world.services.gpus.status(node).values()).count(0)


def test_both_show_what_either_has(nodes: Pair) -> None:
    nodes.one.services.containers.create("near", spec())
    nodes.two.services.containers.create("far", spec(gpu_count=1))
    nodes.two.services.containers.create("gone", spec())
    nodes.two.services.volumes.create("data", "1MB")
    nodes.two.engine.remove("gone-0")
    nodes.tell()
    for world in (nodes.one, nodes.two):
        assert states(world) == {"far-0": "running", "gone-0": "missing", "near-0": "running"}
        assert states(world, node="two") == {"far-0": "running", "gone-0": "missing"}
        assert states(world, state="missing") == {"gone-0": "missing"}
        assert volumes(world) == volumes(world, node="two") == {"data-0": "present"}
        assert volumes(world, node="one") == {}
        assert (free(world, "one"), free(world, "two")) == (4, 3) and len(world.services.gpus.all()) == 8
        (drift,) = world.services.containers.queries.show(Name("gone")).drift
        assert drift.kind == "missing"
        view = world.services.containers.queries.show(Name("far"))
        assert len(view.gpus) == 1 and [version.state for version in view.versions] == ["running"]


def test_how_full_a_volume_is_and_who_mounts_it_is_told(nodes: Pair) -> None:
    nodes.two.services.volumes.create("data", "1MB")
    nodes.two.services.containers.create("foo", spec(binds=(Bind("data-0", "/data"),)))
    nodes.two.volumes.write("data-0", "file", "four")
    nodes.tell()
    newest = nodes.one.services.volumes.queries.show(parse("data-0", VOLUME)).newest
    assert newest.usage == Usage(capacity=1 << 20, used=4, files=1)
    assert [(mount.container, mount.dest, mount.running) for mount in newest.mounts] == [("foo-0", "/data", True)]
    assert volumes(nodes.one, container="foo-0") == {"data-0": "present"}
    nodes.two.volumes.write("data-0", "file", "longer")
    assert nodes.two.services.agent.presence._reporter.report() == 0, "how full it is moves all the time"


def test_what_changed_since_the_last_report_is_shown_as_it_was_recorded(nodes: Pair) -> None:
    nodes.two.services.containers.create("foo", spec(gpu_count=1))
    nodes.two.services.volumes.create("data", "1MB")
    assert states(nodes.one) == {"foo-0": "running"} and volumes(nodes.one) == {"data-0": "present"}
    nodes.tell()
    nodes.two.services.containers.stop(Name("foo"))
    assert states(nodes.one) == {"foo-0": "stopped"} and free(nodes.one, "two") == 4
    nodes.two.services.containers.delete(Name("foo"), force=False, erase=False)
    assert states(nodes.one) == {"foo-0": "removed"}


def test_of_a_silent_node_everything_is_shown_and_nothing_is_free(nodes: Pair) -> None:
    nodes.two.services.containers.create("foo", spec(gpu_count=1))
    nodes.two.services.containers.change_gpus(Name("foo"), 2)
    nodes.two.services.volumes.create("data", "1MB")
    nodes.tell()
    nodes.lose_two()
    assert states(nodes.one) == {"foo-1": "unreachable"} and volumes(nodes.one) == {"data-0": "unreachable"}
    view = nodes.one.services.containers.queries.show(Name("foo"))
    assert [version.state for version in view.versions] == ["unreachable", "unreachable"]
    assert [drift.kind for drift in view.drift] == ["unreachable"] and "two" in view.drift[0].reason
    (found,) = nodes.one.services.volumes.queries.show(parse("data", VOLUME)).drift
    assert found.kind == "unreachable"
    assert free(nodes.one, "two") == 0 and len(nodes.one.services.gpus.status("two")) == 4
    gpu = nodes.one.services.gpus.all("two")[0]
    assert gpu.fault and "two" in gpu.fault and gpu.advice
    assert [placed(nodes.one, gpu_count=count) for count in (1, 4)] == ["one", "one"]


def test_a_node_that_cannot_see_its_docker_says_so(nodes: Pair) -> None:
    nodes.two.services.containers.create("foo", spec())
    nodes.tell()
    nodes.two.engine.fail_next["list"] = Unavailable("docker", "Docker does not answer")
    with pytest.raises(Unavailable):
        nodes.two.services.agent.presence.report()
    nodes.two.services.agent.presence.beat(URL)
    assert states(nodes.one) == {"foo-0": "unreachable"}
    (drift,) = nodes.one.services.containers.queries.show(Name("foo")).drift
    assert "Docker does not answer" in drift.reason
    nodes.tell()
    assert states(nodes.one) == {"foo-0": "running"}


def test_gpus_elsewhere_have_their_faults_processes_and_drains(nodes: Pair) -> None:
    uuids = list(nodes.two.services.gpus.status("two"))
    nodes.two.inventory.changes[0] = {"fault": "broken", "temperature": 90}
    nodes.two.services.gpus.schedule(uuids[1], False)
    nodes.tell()
    first, second, *_ = nodes.one.services.gpus.all("two")
    assert (first.fault, first.gpu.temperature, first.free) == ("broken", 90, False)
    assert not second.schedulable and free(nodes.one, "two") == 2
    nodes.two.inventory.error = Unavailable("nvml", "NVML does not answer")
    nodes.two.services.agent.presence.report()
    assert {view.fault for view in nodes.one.services.gpus.all("two")} == {"NVML does not answer"}
    with pytest.raises(OnAnotherNode):
        nodes.one.services.gpus.schedule(uuids[1], True)


def test_only_what_changed_is_written(nodes: Pair) -> None:
    reporter = nodes.two.services.agent.presence._reporter
    nodes.two.services.containers.create("foo", spec(gpu_count=1))
    nodes.two.services.containers.create("bar", spec())
    nodes.two.inventory.changes[1] = {"processes": (GpuProcess(77, 1 << 30, None),)}
    nodes.two.services.volumes.create("data", "1MB")
    nodes.two.services.containers.create("user", spec(binds=(Bind("data-0", "/data"),)))
    nodes.two.engine.containers[container_id(nodes.two, "user-0")].end(1)
    assert reporter.report() == 5 and reporter.report() == 0
    nodes.two.services.containers.stop(Name("bar"))
    assert reporter.report() == 1 and reporter.report() == 0
    nodes.two.inventory.changes[0] = {"temperature": 50}
    assert reporter.report() == 0, "a reading that was written a moment ago is not written again"
    reporter._written_at.clear()
    assert reporter.report() == 1 and reporter.report() == 0
    nodes.two.services.containers.delete(Name("bar"), force=False, erase=True)
    assert reporter.report() == 1
    assert nodes.one.stored("/observed/containers/two/") == [f"/observed/containers/two/{n}" for n in ("foo", "user")]


def test_how_full_its_disks_are_is_told_now_and_then_and_at_once_when_one_is_low(nodes: Pair) -> None:
    reporter, tera = nodes.two.services.agent.presence._reporter, 1 << 40
    (room,) = nodes.one.services.volumes.disk_usage.elsewhere()
    assert (room.node, room.path, room.total, room.low) == ("two", "/var/lib/docker", 2 * tera, False)
    nodes.two.volumes.free = tera
    assert reporter.report() == 0, "what is free moves all the time"
    nodes.two.volumes.free = 1 << 20
    assert reporter.report() == 1 and reporter.report() == 0
    usage = nodes.one.services.volumes.disk_usage
    (alert,) = alerts.of_disks([*usage.here(), *usage.elsewhere()])
    assert (alert.kind, alert.node, alert.reason) == ("low", "two", "1 MB of 2 TB are free")
    assert [room.node for room in nodes.one.services.volumes.disk_usage.here()] == ["one"]
    nodes.two.volumes.free = 2 << 20
    reporter._written_at.clear()
    assert reporter.report() == 1
    assert [room.free for room in nodes.one.services.volumes.disk_usage.elsewhere()] == [2 << 20]
    nodes.lose_two()
    assert not nodes.one.services.volumes.disk_usage.elsewhere()


def test_disks_that_do_not_answer_are_not_told_and_all_else_is(nodes: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[DiskSpace]:
        raise Unavailable("docker", "the room under /var/lib/docker is unknown")

    nodes.two.services.containers.create("foo", spec())
    monkeypatch.setattr(nodes.two.services.agent.presence._reporter, "_read_disks", broken)
    nodes.tell()
    assert not nodes.one.services.volumes.disk_usage.elsewhere() and states(nodes.one) == {"foo-0": "running"}


def test_a_node_leaves_the_reports_of_its_namesakes_alone(nodes: Pair) -> None:
    namesake = make_world(replace(CONFIG, node="two.2", simulated_gpus=2), nodes.one.store)
    namesake.services.containers.create("foo", spec())
    assert namesake.services.agent.reconciler.leadership.acquire()
    namesake.services.agent.presence.report()
    before = nodes.one.stored("/observed/")
    nodes.tell()
    assert nodes.one.stored("/observed/") == before and len(nodes.one.services.gpus.status("two")) == 4


def test_it_says_that_it_lives_until_it_ends(nodes: Pair) -> None:
    nodes.lose_two()
    presence = nodes.two.services.agent.presence
    presence.begin(URL)
    wait_for(lambda: nodes.one.services.summary.all()[1].node.url == URL)
    nodes.two.services.containers.create("foo", spec())
    presence.look_again()
    wait_for(lambda: nodes.one.stored("/observed/containers/two/") != [])
    presence.end()
    assert not nodes.one.services.summary.all()[1].node.alive


def test_passes_go_on_while_other_nodes_cannot_be_served(nodes: Pair) -> None:
    reconciler, tried = nodes.two.services.agent.reconciler, []

    def serve() -> str:
        tried.append(True)
        if len(tried) == 2:
            reconciler.stop()
            return URL
        raise Unavailable("node", "the address is in use")

    nodes.lose_two()
    nodes.two.services.containers.create("foo", spec())
    nodes.two.engine.containers[container_id(nodes.two, "foo-0")].end(137)
    reconciler.signals.event.set()  # type: ignore[attr-defined]
    reconciler.run(serve)
    assert len(tried) == 2 and nodes.two.containers() == {"foo-0": "running"}


def test_another_host_of_the_same_name_takes_over_only_once_the_first_is_silent(nodes: Pair) -> None:
    class Other(FakeHost):
        def own_token(self) -> str:
            return "another-boot/1/1"

    rival = Leadership(nodes.one.store, Other(), "two")
    assert not rival.acquire() and nodes.two.services.agent.reconciler.leadership.acquire()
    nodes.two.host.alive.clear()
    assert not rival.acquire()
    nodes.lose_two()
    rival.host.alive.clear()  # type: ignore[attr-defined]  # of another host's processes nothing is known
    assert rival.acquire()


def test_one_that_lost_the_lead_reports_no_more(nodes: Pair) -> None:
    nodes.two.services.containers.create("foo", spec())
    nodes.two.store.transact({}, [Delete("/nodes/two/reconciler")])
    with pytest.raises(errors.Fenced):
        nodes.two.services.agent.presence.report()
    assert nodes.one.stored("/observed/containers/") == []


@pytest.mark.parametrize(
    ("used_one", "used_two", "count", "expected"),
    [
        (0, 0, 2, "one"),  # both leave as many over: the one that was asked
        (0, 2, 2, "two"),
        (2, 0, 2, "one"),
        (1, 2, 3, "one"),
        (3, 1, 3, "two"),
        (4, 3, 2, "two"),  # nowhere: where most are free, which says so
        (3, 4, 2, "one"),
        (0, 3, 0, "one"),
    ],
)
def test_a_container_goes_where_it_leaves_the_fewest_over(
    nodes: Pair, used_one: int, used_two: int, count: int, expected: str
) -> None:
    for world, used in ((nodes.one, used_one), (nodes.two, used_two)):
        if used:
            world.services.containers.create(f"used{world.services.config.node}", spec(gpu_count=used))
    assert placed(nodes.one, gpu_count=count) == expected


def test_a_node_whose_gpus_cannot_be_read_gets_none(nodes: Pair) -> None:
    nodes.one.inventory.error = Unavailable("nvml", "NVML does not answer")
    assert placed(nodes.one, gpu_count=1) == "two"
    nodes.lose_two()
    with pytest.raises(OnAnotherNode):
        nodes.one.services.placement.container("new", spec(), "two")


def test_a_container_goes_where_its_volumes_are(nodes: Pair) -> None:
    nodes.two.services.volumes.create("far", "1MB")
    nodes.one.services.volumes.create("near", "1MB")
    far, near, host = Bind("far-0", "/far"), Bind("near-0", "/near"), Bind("/mnt/x", "/x")
    assert placed(nodes.one, binds=(far, host)) == "two" == placed(nodes.one, "two", binds=(far,))
    assert placed(nodes.one, binds=(near,), gpu_count=1) == "one" and placed(nodes.one, binds=(host,)) == "one"
    assert placed(nodes.one, binds=(Bind("nobody_s", "/n"),)) == "one"
    for node, binds in ((None, (far, near)), ("one", (far,)), ("two", (near,))):
        with pytest.raises(errors.VolumesApart):
            placed(nodes.one, node, binds=binds)
    nodes.one.services.containers.create("foo", spec(binds=(near,)))
    with pytest.raises(errors.VolumesApart):
        nodes.one.services.containers.change_volume(Name("foo"), near, replace(far, dest="/near"))


def test_a_node_can_be_chosen(nodes: Pair) -> None:
    assert [placed(nodes.one, node) for node in ("one", "two", None)] == ["one", "two", "one"]
    nodes.one.services.placement.volume(None)
    nodes.one.services.placement.volume("one")
    with pytest.raises(OnAnotherNode):
        nodes.one.services.placement.volume("two")
    for place in (nodes.one.services.placement.volume, lambda node: placed(nodes.one, node)):
        with pytest.raises(errors.NodeNotFound) as caught:
            place("three")
        assert caught.value.data == {"node": "three", "nodes": ["one", "two"]}


def test_what_an_erased_family_left_is_found_wherever_it_is(nodes: Pair) -> None:
    elsewhere = nodes.one.services.locator.elsewhere
    nodes.two.services.containers.create("foo", spec())
    assert elsewhere("containers", "foo-0") == elsewhere("containers", "foo") == "two"
    nodes.two.services.containers.change_gpus(Name("foo"), 1)
    nodes.two.services.containers.delete(Name("foo"), force=True, erase=True)
    assert elsewhere("containers", "foo-0") == "two", "also before it was reported"
    nodes.tell()
    (left,) = nodes.one.services.containers.queries.page(node="two").leftovers
    assert left.container.name == "foo-0" and left.drift.kind == "leftover"
    assert nodes.one.services.containers.queries.page(node="one").leftovers == ()
    assert elsewhere("containers", "foo-0") == "two" and elsewhere("containers", "foo-7") == "two"
    assert elsewhere("containers", "never-0") is None and elsewhere("containers", "a-b-c") is None
    with pytest.raises(errors.ContainerExists, match="foo-0 on two"):
        nodes.one.services.placement.container("foo", spec(), None)


def test_whose_a_volume_or_gpu_is(nodes: Pair) -> None:
    elsewhere = nodes.one.services.locator.elsewhere
    nodes.two.services.volumes.create("data", "1MB")
    assert elsewhere("volumes", "data-0") == "two" and elsewhere("volumes", "other-0") is None
    assert elsewhere("gpus", next(iter(nodes.one.services.gpus.status("two")))) == "two"
    assert elsewhere("gpus", next(iter(nodes.one.services.gpus.status("one")))) is None
    assert elsewhere("gpus", "GPU-nobody") is None


def test_nodes_are_counted(nodes: Pair) -> None:
    nodes.two.services.containers.create("foo", spec(gpu_count=3))
    nodes.two.services.volumes.create("data", "1MB")
    nodes.tell()
    one, two = nodes.one.services.summary.all()
    assert (one.node.alive, one.gpus, one.free_gpus, one.containers, one.volumes) == (True, 4, 4, 0, 0)
    assert (two.node.url, two.gpus, two.free_gpus, two.containers, two.volumes) == (URL, 4, 1, 1, 1)
    nodes.lose_two()
    two = nodes.one.services.summary.all()[1]
    assert not two.node.alive and (two.gpus, two.free_gpus) == (4, 0)


def test_a_node_that_only_has_things_on_record_is_listed() -> None:
    one = make_world(replace(CONFIG, node="one"))
    make_world(replace(CONFIG, node="two"), one.store).services.containers.create("foo", spec())
    assert [view.node for view in one.services.summary.all()] == [Node("one"), Node("two")]


def test_a_defect_in_a_report_is_told_and_ends_nothing(nodes: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    presence, failures = nodes.two.services.agent.presence, []

    def fail() -> None:
        failures.append(1)
        raise ValueError("nobody thought of that")

    with monkeypatch.context() as patch:
        patch.setattr(presence._reporter, "report", fail)
        presence.begin(URL)
        wait_for(lambda: len(failures) > 0)
        presence.look_again()
        wait_for(lambda: len(failures) > 1)
        presence.beat(URL)
        assert "defect" in str(nodes.one.services.summary.all()[1].node.silence)
    presence.look_again()
    wait_for(lambda: presence._problem is None)
    presence.beat(URL)
    assert nodes.one.services.summary.all()[1].node.silence is None
    presence.end()

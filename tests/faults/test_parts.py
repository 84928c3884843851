"""etcd, Docker, the disk or the clock fails in the middle of a change. What heals it is what an operator would do.

The middle of a change of GPUs is the stop of the old container, that of a resize the copy.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest
import requests

from tests.faults import sites
from tests.faults.conftest import Tally
from tests.faults.lab import Lab, fill, wait_for
from tests.faults.scenarios import COPIES, Names, Scenario
from tests.faults.sites import Site

# A program that takes a second to end.
_SLOW = ["sh", "-c", 'trap "sleep 1; exit" TERM; echo ready; while :; do sleep 0.1; done']
# As long as a part may hang before it is healed, unless the change ends sooner.
_HANG = 4.0
# A Docker or an etcd that comes back needs a moment itself.
_WITHIN = 20.0
Fault = tuple[Callable[[Site], object], Callable[[Site], object]]


def slow_container(lab: Lab, names: Names) -> None:
    lab.server.create(names.container, gpuCount=2, cmd=_SLOW)
    wait_for(lambda: "ready" in lab.must("GET", f"/containers/{names.container}/logs")["logs"])
    lab.furnish(f"{names.container}-0", "first")


def many_files(lab: Lab, names: Names) -> None:
    lab.must("POST", "/volumes", {"name": names.volume, "size": "64MB"})
    directory = lab.volume(f"{names.volume}-0") / "many"
    directory.mkdir()
    for number in range(6000):
        fill(directory / str(number), 0)


CHANGES = {
    "a GPU change": ("stopping", Scenario(slow_container, lambda names: names.change("gpu", {"gpuCount": 4}))),
    "a resize": (
        "copying",
        Scenario(many_files, lambda names: ("PATCH", f"/volumes/{names.volume}/size", {"size": "70MB"})),
    ),
}


def nothing(_: Site) -> None:
    pass


ETCD: dict[str, Fault] = {
    "killed": (lambda site: site.etcds[0].kill(), lambda site: site.etcds[0].start()),
    "frozen": (lambda site: site.etcds[0].freeze(), lambda site: site.etcds[0].thaw()),
    "restarted": (lambda site: site.etcds[0].restart(), nothing),
    "full": (lambda site: sites.fill(site.etcds[0]), lambda site: sites.make_room(site.etcds[0])),
    "compacted": (lambda site: sites.compact(site.etcds[0]), lambda site: sites.etcdctl(site.etcds[0], "defrag")),
}
DOCKER: dict[str, Fault] = {
    "killed": (lambda site: site.lab.dockerd.kill(), lambda site: site.lab.dockerd.start()),
    "frozen": (lambda site: site.lab.dockerd.freeze(), lambda site: site.lab.dockerd.thaw()),
    "restarted": (lambda site: site.lab.dockerd.restart(), nothing),
}


@pytest.fixture(scope="module")
def parts(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site of the kind that is the parameter."""
    with sites.site(request.param) as site:
        yield site


def amid(site: Site, change: str, fault: Fault) -> Callable[[Names], list[str]]:
    """Makes a change, lets the fault come in its middle, and heals it when the change has ended or hangs."""
    step, scenario = CHANGES[change]
    strike, heal = fault

    def off(names: Names) -> list[str]:
        def reached() -> bool:
            entries = site.lab.store.list("/operations/")
            assert not future.done(), f"too late: {future.result().text}"
            return any(entry.value["step"] == step for entry in entries)

        with ThreadPoolExecutor(1) as pool:
            future: Future[requests.Response] = pool.submit(site.lab.call, scenario.change(names))
            wait_for(reached)
            try:
                strike(site)
                wait([future], _HANG)
            finally:
                heal(site)
            answer = future.result()
        return [] if answer.status_code in (200, 409, 500, 503) else [f"it answered {answer.text}"]

    return off


def try_fault(tally: Tally, site: Site, change: str, fault: Fault) -> None:
    trial = site.trial(change, CHANGES[change][1])
    with tally.fault():
        assert trial.broken(amid(site, change, fault), _WITHIN) == []
        assert site.lab.settled() == []


def on(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("parts", [kind], indirect=True)


@on("plain")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", ETCD)
def test_etcd_fails(parts: Site, tally: Tally, change: str, fault: str) -> None:
    try_fault(tally, parts, change, ETCD[fault])
    assert parts.lab.untouched() == []


@on("plain")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", DOCKER)
def test_docker_fails(parts: Site, tally: Tally, change: str, fault: str) -> None:
    try_fault(tally, parts, change, DOCKER[fault])


@on("live-restore")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fault", ["killed", "restarted"])
def test_docker_fails_and_keeps_its_containers(parts: Site, tally: Tally, change: str, fault: str) -> None:
    lab = parts.lab
    lab.server.create("bystanding", gpuCount=1)
    before = lab.inspect("bystanding-0")["State"]["StartedAt"]
    try_fault(tally, parts, change, DOCKER[fault])
    assert lab.inspect("bystanding-0")["State"]["StartedAt"] == before
    assert lab.untouched() == []
    lab.must("DELETE", "/containers/bystanding", {"force": True, "delEtcdInfoAndVersionRecord": True})


@on("cluster")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("harm", ["kill", "freeze"])
def test_the_leader_of_three_etcds_is_lost(parts: Site, tally: Tally, change: str, harm: str) -> None:
    lost = sites.leader(parts.etcds)
    heal = lost.start if harm == "kill" else lost.thaw
    try_fault(tally, parts, change, (lambda _: getattr(lost, harm)(), lambda _: heal()))
    assert parts.lab.untouched() == []


@on("small")
@pytest.mark.parametrize("name", COPIES)
def test_the_disk_gets_full_in_a_copy(parts: Site, tally: Tally, name: str) -> None:
    assert parts.disk is not None
    disk, trial = parts.disk, parts.trial(name, COPIES[name])

    def off(names: Names) -> list[str]:
        sites.take_room(disk, 50 * sites.MB)
        try:
            answer = parts.lab.call(trial.scenario.change(names))
        finally:
            (disk / "filler").unlink()
        told = answer.status_code, answer.json()["data"]
        return [] if told == (503, {"part": "disk"}) else [f"it answered {answer.text}"]

    with tally.fault():
        assert trial.broken(off) == []
        assert parts.lab.settled() == []
        assert parts.lab.untouched() == []


@on("clock")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seconds", [3600, -3600])
def test_the_clock_is_set(parts: Site, tally: Tally, change: str, seconds: int) -> None:
    """Of gpudock's processes only, since the machine's clock is not the tests' to set."""
    clock = parts.clock
    assert clock is not None
    try_fault(tally, parts, change, (lambda _: sites.step_clock(clock, seconds), nothing))
    ended = parts.lab.server.create("ended", cmd=["sh", "-c", "exit 0"])["name"]
    wait_for(lambda: parts.lab.inspect(ended)["State"]["Status"] == "exited")
    parts.lab.server.create("next", gpuCount=2)
    parts.lab.dockerd.docker("kill", "next-0")
    wait_for(lambda: parts.lab.inspect("next-0")["State"]["Running"])
    assert parts.lab.untouched() == []
    for name in ("ended", "next"):
        parts.lab.must("DELETE", f"/containers/{name}", {"force": True, "delEtcdInfoAndVersionRecord": True})

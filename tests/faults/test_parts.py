"""etcd, Docker, the disk or the clock fails in the middle of a change. What heals it is what an operator would do.

The middle of a change of GPUs is the stop of the old container, that of a resize the copy.
"""

import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest
import requests

from tests.faults import sites
from tests.faults.conftest import Tally
from tests.faults.lab import ERASE, SEED, THOROUGH, Lab, fill, wait_for
from tests.faults.scenarios import COPIES, Names, Scenario
from tests.faults.sites import RichSite, Site

# A program that takes a second to end.
_SLOW = ["sh", "-c", 'trap "sleep 1; exit" TERM; echo ready; while :; do sleep 0.1; done']
# As long as a part may hang before it is healed, unless the change ends sooner.
_HANG = 4.0
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
    "a GPU change": (
        "stopping",
        Scenario(slow_container, lambda names: names.change("gpu", {"gpuCount": 4}), "change"),
    ),
    "a resize": (
        "copying",
        Scenario(many_files, lambda names: ("PATCH", f"/volumes/{names.volume}/size", {"size": "70MB"}), "resize"),
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
        assert trial.broken(amid(site, change, fault)) == []
        assert site.lab.settled() == []


def faults(*names: str) -> pytest.MarkDecorator:
    """Each fault in the middle of one of the changes, or with THOROUGH of each of them."""
    changes = list(CHANGES)
    some = zip(names, itertools.cycle([changes[SEED % 2], changes[1 - SEED % 2]]), strict=False)
    return pytest.mark.parametrize(("fault", "change"), list(itertools.product(names, changes) if THOROUGH else some))


@faults(*ETCD)
def test_etcd_fails(plain: Site, tally: Tally, fault: str, change: str) -> None:
    try_fault(tally, plain, change, ETCD[fault])
    assert plain.lab.untouched() == []


@faults(*DOCKER)
def test_docker_fails(plain: Site, tally: Tally, fault: str, change: str) -> None:
    try_fault(tally, plain, change, DOCKER[fault])


@faults("killed", "restarted")
def test_docker_fails_and_keeps_its_containers(rich: RichSite, tally: Tally, fault: str, change: str) -> None:
    lab = rich.lab
    lab.server.create("bystanding", gpuCount=1)
    before = lab.inspect("bystanding-0")["State"]["StartedAt"]
    try_fault(tally, rich, change, DOCKER[fault])
    assert lab.inspect("bystanding-0")["State"]["StartedAt"] == before
    assert lab.untouched() == []
    lab.must("DELETE", "/containers/bystanding", ERASE)


@faults("kill", "freeze")
def test_the_leader_of_three_etcds_is_lost(rich: RichSite, tally: Tally, fault: str, change: str) -> None:
    lost = sites.leader(rich.etcds)
    heal = lost.start if fault == "kill" else lost.thaw
    try_fault(tally, rich, change, (lambda _: getattr(lost, fault)(), lambda _: heal()))
    assert rich.lab.untouched() == []


@pytest.mark.parametrize("name", COPIES)
def test_the_disk_gets_full_in_a_copy(rich: RichSite, tally: Tally, name: str) -> None:
    trial = rich.trial(name, COPIES[name])

    def off(names: Names) -> list[str]:
        sites.take_room(rich.disk, 50 * sites.MB)
        try:
            answer = rich.lab.call(trial.scenario.change(names))
        finally:
            (rich.disk / "filler").unlink()
        told = answer.status_code, answer.json()["data"]
        return [] if told == (503, {"part": "disk"}) else [f"it answered {answer.text}"]

    with tally.fault():
        assert trial.broken(off) == []
        assert rich.lab.settled() == []
        assert rich.lab.untouched() == []


@faults("3600", "-3600")
def test_the_clock_is_set(rich: RichSite, tally: Tally, fault: str, change: str) -> None:
    """Of gpudock's processes only, since the machine's clock is not the tests' to set."""
    lab = rich.lab
    try_fault(tally, rich, change, (lambda _: sites.step_clock(rich.clock, int(fault)), nothing))
    ended = lab.server.create("ended", cmd=["sh", "-c", "exit 0"])["name"]
    wait_for(lambda: lab.inspect(ended)["State"]["Status"] == "exited")
    lab.server.create("next", gpuCount=2)
    lab.dockerd.docker("kill", "next-0")
    wait_for(lambda: lab.inspect("next-0")["State"]["Running"])
    assert lab.untouched() == []
    for name in ("ended", "next"):
        lab.must("DELETE", f"/containers/{name}", ERASE)
    sites.step_clock(rich.clock, 0)

"""The reconcile process killed in the middle of its own work, and two servers at work on the same things."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.ports import Put
from tests.faults.conftest import Tally
from tests.faults.lab import KEEP, SEED, THOROUGH, Call, Lab
from tests.faults.scenarios import SCENARIOS, Names, clean
from tests.faults.trial import Trial, fresh
from tests.support import images
from tests.support.invariants import FAMILY, NODE, OPERATION, VERSION
from tests.support.server import Server

_KILLED = -9
_EVERY = 1 if THOROUGH else 7


@pytest.fixture
def alone(lab: Lab) -> Iterator[Lab]:
    """The laboratory without its reconcile process."""
    lab.server.kill_reconcile()
    yield lab
    lab.server.start_reconcile()


def mess(lab: Lab, trial: Trial) -> list[Names]:
    """Something to do for each kind of action: a change half done, a container killed by hand, an old version started
    by hand on GPUs that are another's by now, a claim without an owner, and a container that Docker made too late.
    """
    half, killed, old, late = everything = [fresh() for _ in range(4)]
    trial.scenario.prepare(lab, half)
    lab.server.create(killed.container, gpuCount=1)
    lab.server.create(old.container, gpuCount=1)
    lab.must(*old.change("gpu", {"gpuCount": 2}))
    lab.dockerd.docker("start", f"{old.container}-0")
    lab.dockerd.docker("kill", f"{killed.container}-0")
    holder = {"schema": 1, "family": "nobody", "version": 0, "operation": "none", "container_id": None}
    lab.store.transact({}, [Put("/gpus/test-node/GPU-nobodys", holder)])
    refused = {"imageName": images.IMAGE, "containerName": late.container, "cmd": ["/no/such/program"]}
    assert lab.call(("POST", "/containers", refused)).status_code == 422
    operation = lab.must("GET", f"/operations?name={late.container}")["operations"][0]["id"]
    labels = {NODE: "test-node", FAMILY: late.container, VERSION: "0", OPERATION: operation}
    marks = [f"--label={label}={value}" for label, value in labels.items()]
    lab.dockerd.docker("create", *marks, "--name", f"{late.container}-0", images.IMAGE)
    step = next(number for number, (call, _) in enumerate(trial.calls, 1) if call == "containers.start")
    assert trial.kill(half, str(step)) == []
    return everything


def test_reconcile_killed_before_each_of_its_writes(alone: Lab, tally: Tally) -> None:
    lab, trial = alone, Trial(alone, SCENARIOS["more GPUs"])
    first = 1 + SEED % _EVERY
    point, status = first, _KILLED
    while status == _KILLED:
        with tally.fault():
            lab.server.hold_master()
            try:
                made = mess(lab, trial)
                assert len(lab.running()) == 1
                status = lab.server.reconcile_once(str(point))
                assert status in (_KILLED, 0)
                lab.server.start_reconcile()
                assert lab.settled() == [], f"after a kill before write {point}"
                assert trial.differences(made[0], trial.before) == []
            finally:
                lab.server.kill_reconcile()
                lab.server.let_master_go()
            for names in made:
                clean(lab, names)
        point += _EVERY
    assert point > first + _EVERY, "it had hardly anything to do"


def test_two_servers_on_one_docker_and_one_etcd(lab: Lab, tally: Tally) -> None:
    """Callers of both want everything of the same few containers and volumes at once."""
    other = Server(lab.dockerd, lab.etcds[0], {"GPUDOCK_GPUS": "simulated:64"})
    other.start()
    families = [fresh() for _ in range(3)]
    try:
        with tally.fault(), ThreadPoolExecutor(8) as pool:
            seeds = range(8)
            codes = {
                code for found in pool.map(lambda seed: hammer(lab, other, families, seed), seeds) for code in found
            }
            assert codes <= {200, 404, 409}, codes
            assert lab.settled() == []
    finally:
        other.stop()
    for names in families:
        clean(lab, names)


def hammer(lab: Lab, other: Server, families: list[Names], seed: int) -> set[int]:
    """Make calls at random, of one server or the other; their status codes."""
    choose = random.Random(seed)
    found = set()
    for _ in range(12):
        names = choose.choice(families)
        call = choose.choice(calls(names, choose))
        server = choose.choice([lab.server, other])
        found.add(server.call(*call).status_code)
    return found


def calls(names: Names, choose: random.Random) -> list[Call]:
    container, volume = f"/containers/{names.container}", f"/volumes/{names.volume}"
    return [
        ("POST", "/containers", {"imageName": images.IMAGE, "containerName": names.container, "gpuCount": 1}),
        names.change("gpu", {"gpuCount": choose.randrange(4)}),
        names.change("gpu", {"gpuCount": choose.randrange(4)}),
        names.change("stop"),
        names.change("restart"),
        ("DELETE", container, KEEP),
        ("POST", "/volumes", {"name": names.volume, "size": "2MB"}),
        ("PATCH", f"{volume}/size", {"size": f"{choose.randrange(2, 6)}MB"}),
        ("DELETE", volume, KEEP),
    ]

"""etcd falls back to what it was, as after a restore of an old snapshot, while everything runs."""

import time
from collections.abc import Iterator, Sequence

import pytest

from app.ports import Delete, Entry, Put
from tests.faults.conftest import Tally
from tests.faults.lab import ERASE, Lab, wait_for
from tests.faults.scenarios import Names
from tests.faults.sites import Site
from tests.faults.trial import fresh

# For so many seconds a worker's look at Docker counts.
_FRESH = 2.0


def fall_back(lab: Lab, entries: Sequence[Entry]) -> None:
    """Make etcd hold just these entries, beside what processes tell of themselves."""
    now = {entry.key: entry.value for entry in lab.store.list("/")}
    known = {entry.key: entry.value for entry in entries}
    writes: list[Put | Delete] = [Put(key, value) for key, value in known.items() if now.get(key) != value]
    writes += [Delete(key) for key in now if key not in known]
    lasting = [write for write in writes if not write.key.startswith("/nodes/")]
    assert lab.store.transact({}, lasting)


def docker_state(lab: Lab) -> dict[str, tuple[str, str]]:
    return {name: (raw["Id"], raw["State"]["Status"]) for name, raw in lab.look().containers.items()}


def remove(lab: Lab, families: Sequence[Names]) -> None:
    """Remove the containers of these families, known to etcd or not."""
    ours = [name for name in docker_state(lab) if name.rpartition("-")[0] in {names.container for names in families}]
    if ours:
        lab.dockerd.docker("rm", "-f", *ours)
    for names in families:
        lab.server.call("DELETE", f"/containers/{names.container}", ERASE)


@pytest.fixture
def families(plain: Site) -> Iterator[list[Names]]:
    """Three families to be, which are gone after the test."""
    found = [fresh() for _ in range(3)]
    yield found
    remove(plain.lab, found)


def test_reconcile_does_nothing_over_an_etcd_that_is_older_than_docker(
    plain: Site, tally: Tally, families: list[Names]
) -> None:
    """What it does not know runs on, and what it knows is not started; until an operator has looked."""
    lab, (old, changed, later) = plain.lab, families
    lab.server.create(old.container, gpuCount=1)
    lab.server.create(changed.container, gpuCount=1)
    before = lab.store.list("/")
    lab.server.create(later.container, gpuCount=2)
    lab.must(*changed.change("gpu", {"gpuCount": 2}))
    with tally.fault():
        lab.server.kill_reconcile()
        time.sleep(_FRESH)  # an etcd takes longer than that to be brought back
        fall_back(lab, before)
        lab.dockerd.docker("kill", f"{old.container}-0")
        state = docker_state(lab)
        assert state[f"{later.container}-0"][1] == state[f"{changed.container}-1"][1] == "running"
        assert lab.server.reconcile_once() == 1
        lab.server.start_reconcile()
        refused = lab.call(old.change("restart"))
        assert (refused.status_code, refused.json()["code"]) == (503, 2093)
        passed = lab.server.log.read_text().count("does not explain")
        wait_for(lambda: lab.server.log.read_text().count("does not explain") > passed + 2, what="some passes")
        assert docker_state(lab) == state
        lab.dockerd.docker("rm", "-f", f"{later.container}-0", f"{changed.container}-1")
        wait_for(lambda: lab.inspect(f"{old.container}-0")["State"]["Running"])
        wait_for(lambda: lab.inspect(f"{changed.container}-0")["State"]["Running"])
        assert lab.settled() == []
        assert lab.untouched() == []

"""Random changes and faults, one after the other, on a real Docker and a real etcd; after each everything must hold."""

from collections.abc import Iterator
from typing import Any

import requests
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule, run_state_machine_as_test

from tests.faults.conftest import Tally
from tests.faults.lab import ERASE, KEEP, SEED, THOROUGH, Call, furnish, until_empty, wait_for
from tests.faults.scenarios import Names, clean
from tests.faults.sites import Site
from tests.faults.trial import fresh
from tests.support import invariants
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer

_RUNS, _STEPS = (40, 30) if THOROUGH else (4, 10)
_OUTAGES = ("restart", "kill", "freeze")
# At which of its writing calls a worker is killed; most are not.
KILLS = st.one_of(st.none(), st.integers(1, 16).map(str))


class Machine(RuleBasedStateMachine):
    """A few families. Each has a container and a volume with files that no change may lose."""

    site: Site
    tally: Tally
    families: Bundle[Names] = Bundle("families")

    def __init__(self) -> None:
        super().__init__()
        self.lab = self.site.lab
        self.trees: dict[str, Any] = {}
        self.made: list[Names] = []

    @rule(target=families, gpus=st.integers(0, 3))
    def create(self, gpus: int) -> Any:
        if len(self.made) == 3:
            return multiple()
        names = fresh()
        self.lab.must("POST", "/volumes", {"name": names.volume, "size": "4MB"})
        furnish(self.lab.volume(f"{names.volume}-0"), names.volume)
        self.lab.server.create(names.container, gpuCount=gpus, binds=[names.bind])
        self.lab.furnish(f"{names.container}-0", names.container)
        estate = self.lab.look()
        self.trees[names.container] = invariants.files(estate, f"{names.container}-0")
        self.trees[names.volume] = self.volume_tree(estate, names)
        self.made.append(names)
        self.check()
        return names

    @rule(names=families, kill=KILLS, gpus=st.integers(0, 4))
    def change_gpus(self, names: Names, kill: str | None, gpus: int) -> None:
        self.change(names.change("gpu", {"gpuCount": gpus}), kill)

    @rule(names=families, kill=KILLS)
    def stop(self, names: Names, kill: str | None) -> None:
        self.change(names.change("stop"), kill)

    @rule(names=families, kill=KILLS)
    def restart(self, names: Names, kill: str | None) -> None:
        self.change(names.change("restart"), kill)

    @rule(names=families, kill=KILLS)
    def delete_and_keep_the_record(self, names: Names, kill: str | None) -> None:
        self.change(("DELETE", f"/containers/{names.container}", KEEP), kill)

    @rule(names=families, kill=KILLS)
    def commit(self, names: Names, kill: str | None) -> None:
        self.change(("POST", f"/containers/{names.container}/commit", {"newImageName": names.image}), kill)

    @rule(names=families, kill=KILLS)
    def delete_the_volume_and_keep_the_record(self, names: Names, kill: str | None) -> None:
        self.change(("DELETE", f"/volumes/{names.volume}", KEEP), kill)

    @rule(names=families, kill=KILLS, megabytes=st.integers(3, 6))
    def resize(self, names: Names, kill: str | None, megabytes: int) -> None:
        self.change(("PATCH", f"/volumes/{names.volume}/size", {"size": f"{megabytes}MB"}), kill)

    @rule(names=families, kill=KILLS)
    def move_to_the_newest_volume(self, names: Names, kill: str | None) -> None:
        newest = self.lab.look(names.container).families("volumes")[names.volume]["current"]
        mounted = self.mounted(names)
        body = {"type": "volume", "oldBind": names.bind_of(mounted), "newBind": names.bind_of(newest)}
        self.change(names.change("volume", body), kill)

    @rule(names=families, kill=KILLS)
    def roll_the_volume_back(self, names: Names, kill: str | None) -> None:
        self.change(("PATCH", f"/volumes/{names.volume}/rollback", {"version": 0}), kill)

    @rule(names=families, kill=KILLS)
    def roll_the_container_back(self, names: Names, kill: str | None) -> None:
        self.change(names.change("rollback", {"version": 0}), kill)

    @rule(names=consumes(families), kill=KILLS)
    def erase(self, names: Names, kill: str | None) -> None:
        self.made.remove(names)
        try:
            self.lab.call(("DELETE", f"/containers/{names.container}", ERASE), kill)
        except requests.ConnectionError:
            wait_for(lambda: not self.lab.running())
        clean(self.lab, names)
        self.check()

    @rule(names=families, how=st.sampled_from(["kill", "stop -t 0", "pause"]))
    def interfere_by_hand(self, names: Names, how: str) -> None:
        current = self.current(names)
        if current and current["State"]["Running"]:
            self.lab.dockerd.docker(*how.split(), current["Id"])
            if how == "pause":
                self.lab.dockerd.docker("unpause", current["Id"])
        self.check()

    @rule()
    def kill_workers(self) -> None:
        self.lab.server.kill_workers()
        self.check()

    @rule()
    def kill_reconcile(self) -> None:
        self.lab.server.kill_reconcile()
        self.lab.server.start_reconcile()
        self.check()

    @rule(how=st.sampled_from(_OUTAGES))
    def etcd_fails(self, how: str) -> None:
        self.documents_errors(self.site.etcds[0], how)

    @rule(how=st.sampled_from(_OUTAGES))
    def docker_fails(self, how: str) -> None:
        self.documents_errors(self.lab.dockerd, how)

    def documents_errors(self, part: EtcdServer | Dockerd, how: str) -> None:
        """A part is away until a call has met that, or just restarts."""
        if how == "restart":
            part.restart()
        else:
            away, back = (part.kill, part.start) if how == "kill" else (part.freeze, part.thaw)
            away()
            try:
                assert self.lab.server.call("GET", "/readyz").status_code == 503
            finally:
                back()
        self.check()

    def change(self, call: Call, kill: str | None) -> None:
        try:
            answer = self.lab.call(call, kill)
        except requests.ConnectionError:
            assert kill
        else:
            assert answer.status_code in (200, 404, 409), answer.text
        self.check()

    def check(self) -> None:
        with self.tally.fault():
            assert until_empty(self.wrong) == []

    def wrong(self) -> list[str]:
        estate = self.lab.look()
        return invariants.violations(estate) or [line for names in self.made for line in self.lost(estate, names)]

    def lost(self, estate: invariants.Estate, names: Names) -> Iterator[str]:
        record = estate.families("containers").get(names.container)
        newest = f"{names.container}-{record['current']}" if record else ""
        if invariants.files(estate, newest) != self.trees[names.container]:
            yield f"{newest} has lost files: {estate.containers.get(newest, {}).get('State')}"
        if self.volume_tree(estate, names) != self.trees[names.volume]:
            yield f"the newest version of {names.volume} has lost files"

    def volume_tree(self, estate: invariants.Estate, names: Names) -> Any:
        newest = f"{names.volume}-{estate.families('volumes')[names.volume]['current']}"
        record = estate.versions("volumes")[newest]
        # Nobody can mount it before the rest is there, or before a resize has brought it back; that is looked at then.
        if record["merging"] or record["aside"]:
            return self.trees[names.volume]
        path = invariants.data_of(estate, newest)
        return invariants.fingerprint(path) if path else None

    def current(self, names: Names) -> Any:
        estate = self.lab.look(names.container)
        return estate.containers.get(f"{names.container}-{estate.families('containers')[names.container]['current']}")

    def mounted(self, names: Names) -> int:
        estate = self.lab.look(names.container)
        newest = estate.families("containers")[names.container]["current"]
        (bind,) = estate.versions("containers")[f"{names.container}-{newest}"]["spec"]["binds"]
        return int(bind["src"].rpartition("-")[2])

    def teardown(self) -> None:
        while self.made:
            clean(self.lab, self.made.pop())
        self.check()


def test_random_changes_and_faults(plain: Site, tally: Tally) -> None:
    kind = seed(SEED)(type("Machine", (Machine,), {"site": plain, "tally": tally}))
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        kind,
        settings=settings(
            max_examples=_RUNS,
            stateful_step_count=_STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            # To look for a smaller example would take longer than to read the log of this one.
            phases=[Phase.generate],
        ),
    )
    assert plain.lab.settled() == []

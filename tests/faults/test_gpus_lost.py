"""A GPU is lost in the middle of a change that is about to start a container on it."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.ports import Entry
from tests.faults.conftest import Tally
from tests.faults.lab import ERASE, wait_for
from tests.faults.scenarios import SCENARIOS, Names
from tests.faults.sites import GPUS, RichSite
from tests.support import images


class Thief:
    """Takes a GPU away that an operation has claimed."""

    def __init__(self, site: RichSite) -> None:
        self._site = site
        self.uuid = ""

    def steal(self, operation: Entry) -> None:
        self.uuid = operation.value["gpus"][0]
        self._site.nvml.lose(next(n for n in range(GPUS) if self._site.nvml.uuid(n) == self.uuid))

    def noticed(self) -> bool:
        """Whether a worker knows of it."""
        found = {gpu["uuid"]: gpu for gpu in self._site.lab.must("GET", "/gpus?detail=true")["gpus"]}
        return self.uuid in found and not found[self.uuid]["healthy"]


@pytest.fixture
def thief(rich: RichSite) -> Iterator[Thief]:
    yield Thief(rich)
    rich.nvml.reset(GPUS)


@pytest.mark.parametrize("name", ["create", "more GPUs"])
def test_a_gpu_is_lost_before_the_start(rich: RichSite, tally: Tally, thief: Thief, name: str) -> None:
    """With this Docker the container starts all the same. The loss is told, and nobody else gets the GPU."""
    lab, trial = rich.lab, rich.trial(name, SCENARIOS[name])

    def off(names: Names) -> list[str]:
        trial.pause(names, trial.step_of("containers.start"), thief.steal)
        wait_for(thief.noticed, what="the loss")
        answer = lab.server.call("GET", f"/containers/{names.container}")
        seen: dict[str, Any] = answer.json()["data"] if answer.ok else {"gpus": [], "drift": []}
        told = {finding["kind"] for finding in seen["drift"]}
        silent = thief.uuid in seen["gpus"] and not told & {"gpu-lost", "gpu-unhealthy"}
        return [f"nobody tells that {thief.uuid} is lost: {seen}"] if silent else []

    with tally.fault():
        assert trial.broken(off) == []
        body = {"imageName": images.IMAGE, "containerName": "next", "gpuCount": GPUS}
        assert lab.server.call("POST", "/containers", body).json()["code"] == 1019
        assert lab.settled() == []
        assert lab.untouched() == []
    lab.server.call("DELETE", "/containers/next", ERASE)

"""A process is stopped in the middle of a change, another one takes over, and then it goes on as if nothing was."""

import random

import pytest

from tests.faults.conftest import Tally
from tests.faults.lab import SEED, THOROUGH, Lab
from tests.faults.scenarios import SCENARIOS, Names
from tests.faults.test_kill_points import kill_everywhere
from tests.faults.trial import Trial

_MOST = 2


def awake(lab: Lab, trial: Trial, names: Names, point: str) -> list[str]:
    """Have the change taken over while its process is stopped; a complaint if that one believes that it did it."""
    answer = trial.pause(names, point, lab.disown)
    return [f"it answered {answer.text}"] if answer.ok else []


def outside(trial: Trial) -> list[str]:
    """The points after the intent is written and before it has ended at which Docker, a disk or the commit is next."""
    last = int(trial.step_of("store.transact"))
    return [
        str(step)
        for step, (name, _) in enumerate(trial.calls, 1)
        if 1 < step <= last and (name != "store.transact" or step == last)
    ]


@pytest.mark.parametrize("name", ["create", "more GPUs", "resize", "stop", "delete, record kept", "commit"])
def test_a_process_that_wakes_up_after_it_was_taken_over_harms_nothing(lab: Lab, tally: Tally, name: str) -> None:
    trial = Trial(lab, SCENARIOS[name])
    points = outside(trial)
    if not THOROUGH:
        points = random.Random(f"{SEED} {name}").sample(points, min(_MOST, len(points)))
    kill_everywhere(tally, trial, points, lambda point: trial.broken(lambda names: awake(lab, trial, names, point)))

"""kill -9 of the process at work, before and after every step of every change, and inside the copies.

Each change is made once to see its steps and what it makes. Then, for each point, on a fresh family: it is killed
there; soon everything must be as before or as after the change, never anything else; and then the same change must
succeed and make the same as ever. Between two steps nothing is written, so being killed after the one is being killed
before the next.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.conftest import Tally
from tests.faults.lab import THOROUGH, Lab
from tests.faults.scenarios import COPIES, SCENARIOS
from tests.faults.trial import LONG, Place, Trial, chosen

# Two CPUs are busy with as many as that; some of the time is waiting for processes to end.
_AT_ONCE = 4
# Where in a copy.
_PARTS = (0.2, 0.4, 0.6, 0.8) if THOROUGH else (0.3, 0.7)


def kill_everywhere(
    tally: Tally, trial: Trial, points: Sequence[str], how: Callable[[str], list[str]] | None = None
) -> None:
    """Try every point, some at a time. `how` tells what is wrong after a fault there; as a rule it is a kill."""

    def attempt(point: str) -> None:
        with tally.fault():
            if wrong := (how or trial.run)(point):
                raise AssertionError("; ".join(wrong))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        attempts = {point: pool.submit(attempt, point) for point in points}
    failed = {point: str(attempt.exception()) for point, attempt in attempts.items() if attempt.exception()}
    told = "\n".join(f"{point} ({name_of(trial, point)}): {wrong[:3000]}" for point, wrong in failed.items())
    assert not failed, f"of {len(points)} points in {trial.calls} these went wrong:\n{told}"


def name_of(trial: Trial, point: str) -> str:
    before, after = trial.points().get(point, ("inside", "a copy"))
    return f"between {before} and {after}"


@pytest.fixture(scope="module")
def tried() -> set[tuple[str, Place]]:
    """Where a process was killed already."""
    return set()


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_step(lab: Lab, tally: Tally, tried: set[tuple[str, Place]], name: str) -> None:
    trial = Trial(lab, SCENARIOS[name])
    kill_everywhere(tally, trial, chosen(trial, tried))


@pytest.mark.parametrize("name", COPIES)
def test_killed_inside_a_copy(lab: Lab, tally: Tally, name: str) -> None:
    trial = Trial(lab, COPIES[name])
    copies = [(step, seconds) for step, (call, seconds) in enumerate(trial.calls, 1) if call.startswith("transfer.")]
    step, seconds = max(copies, key=lambda copy: copy[1])
    assert seconds > LONG, f"{trial.calls}: no copy takes long enough"
    kill_everywhere(tally, trial, [f"{step}~{seconds * part:.4f}" for part in _PARTS])

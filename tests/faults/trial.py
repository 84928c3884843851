"""One change: what it looks like before and after, its steps, and what must hold when it was broken off."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import requests

from tests.faults.lab import CALLS, RECOVERY, THOROUGH, Lab, until_empty
from tests.faults.scenarios import Names, Portrait, Scenario, clean, portrait

_numbers = itertools.count()
# Seconds; in what takes longer, there is a middle.
LONG = 0.02


def fresh() -> Names:
    number = next(_numbers)
    return Names(f"c{number}x", f"v{number}x")


class Trial:
    """One scenario: its steps, and what it looks like before, after, and after its proof."""

    def __init__(self, lab: Lab, scenario: Scenario) -> None:
        self.lab, self.scenario = lab, scenario
        names = fresh()
        scenario.prepare(lab, names)
        self.before = self.see(names)
        answer = lab.call(scenario.change(names), "record")
        assert answer.ok, answer.text
        self.calls: list[tuple[str, float]] = json.loads(answer.headers[CALLS])
        self.after = self.see(names)
        if scenario.proof:
            lab.must(*scenario.proof(names))
        self.proven = self.see(names)
        clean(lab, names)

    def see(self, names: Names) -> Portrait:
        return portrait(self.lab.look(names.container), names)

    def points(self) -> Iterator[str]:
        """Before each step, after the last, and in the middle of those that take their time."""
        steps = range(1, len(self.calls) + 1)
        every = self.scenario.every or THOROUGH
        yield from map(str, steps if every else steps[::2])
        yield f"{len(self.calls)}+"
        for step, (_, seconds) in zip(steps, self.calls, strict=True):
            if seconds > LONG and (every or step % 2 == 0):
                yield f"{step}~{seconds / 2:.4f}"

    def run(self, point: str) -> list[str]:
        """Kill the process at this point; what is wrong then."""
        return self.broken(lambda names: self.kill(names, point))

    def kill(self, names: Names, point: str) -> list[str]:
        """Make the change and have the process killed; a complaint if it was not."""
        try:
            answer = self.lab.call(self.scenario.change(names), point)
        except requests.ConnectionError:
            return []
        return [f"it was not killed, and answered {answer.status_code} {answer.text}"]

    def broken(self, off: Callable[[Names], list[str]], within: float = RECOVERY) -> list[str]:
        """Let `off` make the change and break it off, on fresh families; what is wrong then, `within` seconds later."""
        names = fresh()
        self.scenario.prepare(self.lab, names)
        try:
            wrong = self.differences(names, self.before)
            assert not wrong, f"it does not always begin alike: {wrong}"
            return off(names) or until_empty(lambda: self._unsettled(names), within) or self._again(names)
        finally:
            clean(self.lab, names)

    def _unsettled(self, names: Names) -> list[str]:
        if running := self.lab.running(names.container, names.volume):
            return [f"still under way: {running}"]
        seen = self.see(names)
        before = _but(self.scenario.undone, deep(seen, self.before))
        after = _but(self.scenario.done, deep(seen, self.after))
        return [f"neither as before: {before}", f"nor as after: {after}"] if before and after else []

    def _again(self, names: Names) -> list[str]:
        """Make the change once more, unless it was done; what is wrong with what it makes, or with the proof."""
        repeated = not self.differences(names, self.before, self.scenario.undone)
        if repeated:
            answer = self.lab.call(self.scenario.change(names))
            if not answer.ok and answer.json()["code"] != self.scenario.taken:
                return [f"then it answers {answer.status_code} {answer.text}"]
            if wrong := self.differences(names, self.after):
                return [f"done again it makes something else: {wrong}"]
        if self.scenario.proof is None:
            return []
        self.lab.must(*self.scenario.proof(names))
        wrong = self.differences(names, self.proven, () if repeated else self.scenario.done)
        return [f"its proof fails: {wrong}"] if wrong else []

    def differences(self, names: Names, model: Portrait, loose: Sequence[str] = ()) -> list[str]:
        """What differs from a portrait, but for the parts that are `loose`."""
        return _but(loose, deep(self.see(names), model))


def _but(loose: Sequence[str], lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(tuple(loose))]


def deep(seen: Any, model: Any, where: str = "") -> list[str]:
    """One line for each part that differs, named by its path."""
    if isinstance(seen, Mapping) and isinstance(model, Mapping):
        parts = sorted({*seen, *model})
        return [line for part in parts for line in deep(seen.get(part), model.get(part), f"{where}/{part}")]
    return [] if seen == model else [f"{where} is {str(seen)[:200]}, not {str(model)[:200]}"]

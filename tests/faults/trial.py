"""One change: what it looks like before and after, its steps, and what must hold when it was broken off."""

import itertools
import json
import os
import random
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from app.ports import Entry
from tests.faults.lab import CALLS, SEED, THOROUGH, Lab, pid_of, until_empty, wait_for
from tests.faults.scenarios import Names, Portrait, Scenario, clean, portrait

_numbers = itertools.count()
# Seconds; in what takes longer, there is a middle.
LONG = 0.02
# How many points are tried besides those at which no other scenario of the kind was killed.
_MORE = 1
# The calls before and after a point.
Place = tuple[str, str]


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

    def points(self) -> dict[str, Place]:
        """Before each step, after the last, and in the middle of those that take their time; each with its place."""
        names = ["the beginning", *(name for name, _ in self.calls)]
        found = {str(step): (names[step - 1], names[step]) for step in range(1, len(names))}
        for step, (name, seconds) in enumerate(self.calls, 1):
            if seconds > LONG:
                found[f"{step}~{seconds / 2:.4f}"] = ("inside", name)
        return {**found, f"{len(self.calls)}+": (names[-1], "the end")}

    def step_of(self, call: str) -> str:
        """The point right before the last call of that name."""
        return str(max(step for step, (name, _) in enumerate(self.calls, 1) if name == call))

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

    def pause(self, names: Names, point: str, meanwhile: Callable[[Entry], None]) -> requests.Response:
        """Make the change and have its process stopped at this point for as long as `meanwhile` takes, which gets the
        operation as it is then.
        """
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self.lab.call, self.scenario.change(names), f"{point}!")
            stopped = wait_for(lambda: answer.done() or self.lab.stopped(names.container, names.volume))
            assert isinstance(stopped, Entry), f"it was not stopped: {answer.result().text}"
            try:
                meanwhile(stopped)
            finally:
                os.kill(pid_of(stopped), signal.SIGCONT)
            return answer.result()

    def broken(self, off: Callable[[Names], list[str]]) -> list[str]:
        """Let `off` make the change and break it off, on fresh families; what is wrong then and stays so."""
        names = fresh()
        self.scenario.prepare(self.lab, names)
        try:
            wrong = self.differences(names, self.before)
            assert not wrong, f"it does not always begin alike: {wrong}"
            return off(names) or until_empty(lambda: self._unsettled(names)) or self._again(names)
        finally:
            clean(self.lab, names)

    def _unsettled(self, names: Names) -> list[str]:
        if running := self.lab.running(names.container, names.volume):
            return [f"still under way: {running}"]
        seen = self.see(names)
        before = _but(self.scenario.undone, deep(seen, self.before))
        after = deep(seen, self.after)
        return [f"neither as before: {before}", f"nor as after: {after}"] if before and after else []

    def _again(self, names: Names) -> list[str]:
        """Make the change once more, unless it was done; what is wrong with what it makes, or with the proof."""
        repeated = not self.differences(names, self.before, self.scenario.undone)
        if repeated:
            answer = self.lab.call(self.scenario.change(names))
            if not answer.ok:
                return [f"then it answers {answer.status_code} {answer.text}"]
            if wrong := self.differences(names, self.after):
                return [f"done again it makes something else: {wrong}"]
        if self.scenario.proof is None:
            return []
        self.lab.must(*self.scenario.proof(names))
        wrong = self.differences(names, self.proven)
        return [f"its proof fails: {wrong}"] if wrong else []

    def differences(self, names: Names, model: Portrait, loose: Sequence[str] = ()) -> list[str]:
        """What differs from a portrait, but for the parts that are `loose`."""
        return _but(loose, deep(self.see(names), model))


def chosen(trial: Trial, tried: set[tuple[str, Place]]) -> list[str]:
    """The points of a trial that are tried: those in places that are new to scenarios like it, and a few at random; or
    all. `tried` are the places of earlier trials, and then of this one too.
    """
    points, like = trial.points(), trial.scenario.like
    if THOROUGH:
        return list(points)
    new = {(like, place): point for point, place in points.items() if (like, place) not in tried}
    tried.update(new)
    rest = [point for point in points if point not in new.values()]
    more = random.Random(f"{SEED} {[name for name, _ in trial.calls]}").sample(rest, min(_MORE, len(rest)))
    return [*new.values(), *more]


def _but(loose: Sequence[str], lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith(tuple(loose))]


def deep(seen: Any, model: Any, where: str = "") -> list[str]:
    """One line for each part that differs, named by its path."""
    if isinstance(seen, Mapping) and isinstance(model, Mapping):
        parts = sorted({*seen, *model})
        return [line for part in parts for line in deep(seen.get(part), model.get(part), f"{where}/{part}")]
    return [] if seen == model else [f"{where} is {str(seen)[:200]}, not {str(model)[:200]}"]

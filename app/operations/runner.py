"""Runs every kind of operation in one way: plan, begin, plan again on conflict, run, commit or recover, tidy up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog

from app.errors import Conflict, DomainError, OperationFailed
from app.model.operation import Operation
from app.operations.base import Plan, Request, Unchanged
from app.operations.handle import OperationHandle
from app.operations.journal import Journal
from app.operations.reader import Reader
from app.operations.registry import AnyKind, Registry

log = structlog.get_logger()
R = TypeVar("R")


@dataclass(frozen=True)
class _Begun:
    """An operation whose intent is written, and how it is to be carried out; no handle if there is nothing to do."""

    handle: OperationHandle | None
    plan: Plan | Unchanged[Any]


class Runner:
    """Carries requests out, on this node and in this thread."""

    def __init__(self, reader: Reader, registry: Registry, journal: Journal) -> None:
        self.reader = reader
        self._registry = registry
        self._journal = journal

    def run(self, request: Request[R], on_begin: Callable[[Operation], None] = lambda _: None) -> R:
        """Do what is asked for, wholly or not at all; what the kind's `run` answers.

        `on_begin` hears of the operation as soon as its intent is written, before anything else is changed.
        """
        with _explained(self._registry.planner(request)):
            begun = self._journal.retry_until_claimed(partial(self._begin, request))
        handle, plan = begun.handle, begun.plan
        if isinstance(plan, Unchanged) or handle is None:
            return plan.result  # type: ignore[no-any-return,union-attr]  # the registry pairs requests and kinds
        result = self._carry_through(handle, plan, on_begin)
        self._tidy(plan, result)
        return result  # type: ignore[no-any-return]

    def plan(self, request: Request[Any]) -> Plan | Unchanged[Any]:
        """Plan a request and do no more."""
        return self._registry.planner(request).plan(self.reader, request)

    def _begin(self, request: Request[Any]) -> _Begun | None:
        """Plan and write the intent; None if the plan does not hold any more."""
        plan = self._plan_past_dead(request)
        if isinstance(plan, Unchanged):
            return _Begun(None, plan)
        handle = self._journal.begin(plan)
        return None if handle is None else _Begun(handle, plan)

    def _plan_past_dead(self, request: Request[Any]) -> Plan | Unchanged[Any]:
        """Plan; if something is in the way, once more after recovering what dead processes of this node left."""
        try:
            return self.plan(request)
        except Conflict:
            if not self._journal.recover_orphans():
                raise
        return self.plan(request)

    def _carry_through(self, handle: OperationHandle, plan: Plan, on_begin: Callable[[Operation], None]) -> Any:
        kind = self._registry.kind(plan.operation)
        with _explained(kind), self._journal.recover_on_failure(handle):
            on_begin(handle.operation)
            return kind.run(handle, plan)

    def _tidy(self, plan: Plan, result: Any) -> None:
        """Let go of what is not needed any more. The change has succeeded by now, so a failure is logged, no more."""
        try:
            for following in self._registry.kind(plan.operation).after(plan, result):
                self._follow(following)
            self._journal.trim_history()
        except DomainError as exc:
            log.warning("could not tidy up after an operation", operation=plan.operation.id, reason=exc.message)
        except Exception as exc:  # a defect here must not make a change that succeeded look like one that failed
            log.exception("could not tidy up after an operation", operation=plan.operation.id, exc_info=exc)

    def _follow(self, request: Request[object]) -> None:
        try:
            self.run(request)
        except DomainError as exc:
            log.info("what follows from a change was not done", request=str(request), reason=exc.message)


@contextmanager
def _explained(kind: AnyKind) -> Iterator[None]:
    """Put the failure of a step in the words of the whole change."""
    try:
        yield
    except OperationFailed as exc:
        told = kind.explain(exc)
        if told is exc:
            raise
        raise told from exc

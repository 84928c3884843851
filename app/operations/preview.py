"""The preview of a change: its plan, and nothing else.

What a change does before it plans again, and what it does after its plan, is left out: dead processes' operations are
not recovered and leftovers stay. The preview only tells of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import Conflict, DomainError, Unavailable
from app.model.messages import Text, joined
from app.model.operation import Kind, Operation
from app.operations.base import Plan, Request, Unchanged
from app.operations.reader import Reader
from app.operations.runner import Runner

# Measured (bench/README.md): seconds from the old container's end to the new one's start, and for each file that
# has to be compared after the stop.
_RESTART, _PER_FILE = 0.45, 0.000_01


@dataclass(frozen=True)
class Preview:
    """The effects that a change would have.

    They are the name of what would be made or acted on, what it would hold, and how much would be copied. `gpus` and
    `ports` are chosen anew when it really happens. `downtime` is in seconds,
    from the stop to the next start; 0 where one of them is missing. `operation` is None if nothing would be changed,
    or `blocker` says why nothing can be.
    """

    operation: Operation | None = None
    gpus: Sequence[str] = ()
    ports: Sequence[int] = ()
    bytes: int = 0
    files: int = 0
    downtime: float = 0.0
    blocker: DomainError | None = None


def preview(runner: Runner, request: Request[Any]) -> Preview:
    """Tell what a request would do; Unavailable if a part that it asks is down (a full disk is a blocker)."""
    try:
        plan = runner.plan(request)
        return Preview() if isinstance(plan, Unchanged) else _described(plan)
    except DomainError as exc:
        if isinstance(exc, Unavailable) and exc.part != "disk":
            raise
        return Preview(blocker=_with_orphans(runner.reader, exc))


def _described(plan: Plan) -> Preview:
    sizes = [measure() for measure in plan.copies]
    count, files = sum(size for size, _ in sizes), sum(number for _, number in sizes)
    parent = plan.operation.parent
    kind = plan.operation.kind
    pauses = parent is not None and parent.running and isinstance(kind, Kind) and kind.starts_again
    downtime = _RESTART + _PER_FILE * files if pauses else 0.0
    return Preview(plan.operation, plan.gpus, plan.ports, count, files, downtime)


def _with_orphans(reader: Reader, blocker: DomainError) -> DomainError:
    """Say of a conflict that a change would first recover what dead processes left, and then plan again."""
    orphans = reader.orphans() if isinstance(blocker, Conflict) else []
    if not orphans:
        return blocker
    met = next((orphan for orphan in orphans if (blocker.data or {}).get("operation") == orphan.id), None)
    return type(blocker)(_died(met) if met else _first(orphans, blocker), **blocker.data or {})


def _died(orphan: Operation) -> Text:
    return Text(
        "the process of another operation ({kind}) on {name} died; a change recovers that one first, "
        "as soon as it begins, and then goes on",
        kind=Text(orphan.kind),
        name=orphan.name,
    )


def _first(orphans: Sequence[Operation], blocker: DomainError) -> Text:
    operations = joined((Text("{kind} of {name}", kind=Text(o.kind), name=o.name) for o in orphans), ", ")
    return Text(
        "{why}; but first a change recovers what dead processes left ({operations}), and then it looks again",
        why=blocker.message,
        operations=operations,
    )

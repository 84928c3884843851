"""The operations on one container or volume, running and past, and who asked for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.model.operation import Operation, State
from app.operations.queries import OperationView
from app.web.pages.page_data import PageData
from app.web.request_scope import services

_NOT_ENDED = (State.RUNNING, State.STUCK)
_EVENTS = 20
_REMEMBERED = 1000


@dataclass(frozen=True)
class Activity:
    """The operation that runs or is stuck, the last ones newest first, and the makers of versions, if remembered."""

    running: OperationView | None
    stuck: OperationView | None
    events: Sequence[OperationView]
    authors: Mapping[int, Operation]

    @property
    def busy(self) -> bool:
        """Tell whether an operation keeps everybody else off."""
        return bool(self.running or self.stuck)


def activity(data: PageData, resource: str, family: str, created: str) -> Activity:
    """The past of a family that was made at the time `created`: an erased one may have had its name before.

    While etcd is down as known last.
    """

    def load() -> Activity:
        found = services().operations.queries.of_family(resource, family, _REMEMBERED)
        running, stuck = (next((view for view in found if view.state == state), None) for state in _NOT_ENDED)
        return Activity(running, stuck, found[:_EVENTS], _authors(found, created))

    return data.fetch(("activity", resource, family), load) or Activity(None, None, (), {})


def _authors(found: Sequence[OperationView], created: str) -> dict[int, Operation]:
    """A version is made by the first operation on it that was done; what was done with it later came after."""
    done = [view.operation for view in found if view.state == "done" and (view.ended or "") >= created]
    made = {operation.version: operation for operation in done}  # the newest first, so the first one is left
    return {version: operation for version, operation in made.items() if operation.by}

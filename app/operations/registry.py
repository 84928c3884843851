"""Which kinds of operations there are, and which request is planned by which kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import OperationNotFound
from app.model.messages import Text
from app.model.operation import Kind, Operation
from app.operations.base import OperationKind, Plan, Request, Unchanged
from app.operations.reader import Reader

AnyKind = OperationKind[Any, Any, Any]
Planner = Callable[[Reader, Any], Plan | Unchanged[Any]]


@dataclass(frozen=True)
class Registry:
    """Names every kind of operation on every kind of resource, and who plans each request.

    Which kind carries a plan out is said by the operation that it is to begin: a restart may be planned to be one in
    place.
    """

    kinds: Mapping[tuple[str, Kind], AnyKind]
    planners: Mapping[type[Request[Any]], Planner]

    def plan(self, reader: Reader, request: Request[Any]) -> Plan | Unchanged[Any]:
        """Plan a request; reads only."""
        return self.planners[type(request)](reader, request)

    def kind(self, operation: Operation) -> AnyKind:
        """The kind that runs, recovers and resolves an operation; OperationNotFound for one of a later gpudock."""
        found = self.kinds.get((operation.resource, operation.kind))
        if found is None:
            message = Text(
                "this gpudock knows no operation {kind} on {what}", kind=operation.kind, what=operation.resource
            )
            raise OperationNotFound(message)
        return found

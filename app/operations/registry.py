"""The registry of the kinds of operations, and of the requests that each of them plans."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import OperationNotFound
from app.model.messages import Text
from app.model.operation import Kind, Operation
from app.operations.base import OperationKind, Request

AnyKind = OperationKind[Any, Any, Any]


@dataclass(frozen=True)
class Registry:
    """Names every kind of operation on every kind of resource, and which of them plans a request.

    Which kind carries a plan out is said by the operation that it is to begin: a restart may be planned to be one in
    place.
    """

    kinds: Mapping[tuple[str, Kind | str], AnyKind]
    requests: Mapping[type[Request[Any]], tuple[str, Kind]]

    def planner(self, request: Request[Any]) -> AnyKind:
        """The kind that plans a request."""
        return self.kinds[self.requests[type(request)]]

    def kind(self, operation: Operation) -> AnyKind:
        """The kind that runs, recovers and resolves an operation; OperationNotFound for one of a later gpudock."""
        found = self.kinds.get((operation.resource, operation.kind))
        if found is None:
            words = {"kind": operation.kind, "what": operation.resource}
            raise OperationNotFound(Text("this gpudock knows no operation {kind} on {what}", **words))
        return found

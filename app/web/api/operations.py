"""Operations: watch them, and cancel one that is not at its commit point yet."""

from typing import Any

from flask import jsonify
from flask.typing import ResponseReturnValue
from flask.views import MethodView

from app import errors
from app.operations.base import Resolution
from app.web.api import serializers
from app.web.api.async_requests import wants_preview
from app.web.api.cursor import read_cursor, write_cursor
from app.web.api.envelope import SENT_ON, Resource, ok
from app.web.api.schemas import envelope
from app.web.api.schemas_operations import (
    OperationDetailSchema,
    OperationSchema,
    OperationsQuery,
    OperationsSchema,
    ResolvedSchema,
    ResolveSchema,
)
from app.web.request_scope import if_unreachable, services

blueprint = Resource("operations", __name__, description="Running and past changes")

Json = dict[str, Any]
_DRY_RUN = {
    "in": "query",
    "name": "dryRun",
    "schema": {"type": "boolean"},
    "description": "Only say what would happen: the answer has the `effects`, and nothing is changed.",
}


@blueprint.route("/api/v1/operations")
class Operations(MethodView):
    """All operations, those of the last days."""

    @blueprint.arguments(OperationsQuery, location="query")
    @blueprint.response(200, envelope(OperationsSchema))
    @blueprint.documents_errors()
    def get(self, query: Json) -> Json:
        """List operations, the newest first."""
        after = read_cursor(query.pop("cursor", None))
        page = services().operations.queries.all(after=after, **query)
        return ok({"operations": [serializers.operation(v) for v in page.operations], "next": write_cursor(page.after)})


@blueprint.route("/api/v1/operations/<identity>")
class Operation(MethodView):
    """One operation."""

    @blueprint.response(200, envelope(OperationDetailSchema))
    @blueprint.documents_errors(errors.OperationNotFound)
    def get(self, identity: str) -> Any:
        """Show an operation: its step, how many bytes of a long copy are done, and the ways out if it is stuck."""
        view = services().operations.queries.one(identity)
        told = serializers.operation(view)
        if not services().operations.resolver.waits(view):
            return ok({**told, "resolutions": None})
        if_unreachable(lambda _: _alone(told))
        return ok({**told, "resolutions": _ways_out(identity)})

    @blueprint.response(200, envelope(OperationSchema))
    @blueprint.documents_errors(errors.OperationNotFound, errors.NotCancellable)
    def delete(self, identity: str) -> Json:
        """Cancel an operation before its commit point: everything that it did is undone."""
        return ok(serializers.operation(services().operations.queries.cancel(identity)))


@blueprint.route("/api/v1/operations/<identity>/resolve")
class Resolving(MethodView):
    """The ways out for an operation that is stuck."""

    @blueprint.doc(parameters=[_DRY_RUN])
    @blueprint.arguments(ResolveSchema)
    @blueprint.response(200, envelope(ResolvedSchema))
    @blueprint.documents_errors(errors.OperationNotFound, errors.NotResolvable, *SENT_ON)
    def post(self, body: Json, identity: str) -> Json:
        """Finish, undo or forget an operation that is stuck; with dryRun=true only say what that would do."""
        operations, how, rehearsal = services().operations, Resolution(body["how"]), wants_preview()
        effects = list(operations.resolver.effects(identity, how))
        view = operations.queries.one(identity) if rehearsal else operations.resolver.resolve(identity, how)
        return ok({**serializers.operation(view), "dryRun": rehearsal, "effects": effects})


def _ways_out(identity: str) -> Json | None:
    """Look at the ways out; None if it is not stuck any more."""
    try:
        return serializers.ways_out(services().operations.resolver.ways_out(identity))
    except errors.NotResolvable:
        return None


def _alone(told: Json) -> ResponseReturnValue:
    """Answer with an operation whose node cannot be asked for the ways out."""
    return jsonify(envelope(OperationDetailSchema)().dump(ok({**told, "resolutions": None})))

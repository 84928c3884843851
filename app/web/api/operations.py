"""Operations: watch them, and cancel one that is not at its commit point yet."""

from typing import Any

from flask.views import MethodView

from app import errors
from app.web.api import serializers
from app.web.api.cursor import read_cursor, write_cursor
from app.web.api.envelope import Resource, ok
from app.web.api.schemas import envelope
from app.web.api.schemas_operations import OperationSchema, OperationsQuery, OperationsSchema
from app.web.request_scope import services

blueprint = Resource("operations", __name__, description="Running and past changes")

Json = dict[str, Any]


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

    @blueprint.response(200, envelope(OperationSchema))
    @blueprint.documents_errors(errors.OperationNotFound)
    def get(self, identity: str) -> Json:
        """Show an operation: its step, and how many bytes of a long copy are done."""
        return ok(serializers.operation(services().operations.queries.one(identity)))

    @blueprint.response(200, envelope(OperationSchema))
    @blueprint.documents_errors(errors.OperationNotFound, errors.NotCancellable)
    def delete(self, identity: str) -> Json:
        """Cancel an operation before its commit point: everything that it did is undone."""
        return ok(serializers.operation(services().operations.queries.cancel(identity)))

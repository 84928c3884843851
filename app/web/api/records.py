"""The records in etcd that cannot be read."""

from typing import Any

from flask.views import MethodView
from marshmallow import Schema, fields

from app.web.api.envelope import Resource, ok
from app.web.api.schemas import envelope
from app.web.request_scope import services

blueprint = Resource("records", __name__, description="What etcd holds")


class UnreadableSchema(Schema):
    """A record that is not as gpudock writes it. Nothing that it is about is touched, nor listed."""

    key = fields.String(metadata={"description": "where it is in etcd, below the prefix"})
    problem = fields.String()


class UnreadablesSchema(Schema):
    """Such records, by key."""

    unreadable = fields.List(fields.Nested(UnreadableSchema))


@blueprint.route("/api/v1/records/unreadable")
class Unreadable(MethodView):
    """Those of all nodes."""

    @blueprint.response(200, envelope(UnreadablesSchema))
    @blueprint.documents_errors()
    def get(self) -> dict[str, Any]:
        """List the records in etcd that cannot be read, and why; what was damaged just now may be missing."""
        found = services().unreadable.all()
        return ok({"unreadable": [{"key": each.key, "problem": each.problem} for each in found]})

"""Nodes: the Docker hosts that share this etcd."""

from typing import Any

from flask.views import MethodView

from app.web.api import serializers
from app.web.api.envelope import Resource, ok
from app.web.api.schemas import envelope
from app.web.api.schemas_nodes import NodesSchema
from app.web.request_scope import services

blueprint = Resource("nodes", __name__, description="The hosts of the cluster")


@blueprint.route("/api/v1/nodes")
class Nodes(MethodView):
    """All nodes."""

    @blueprint.response(200, envelope(NodesSchema))
    @blueprint.documents_errors()
    def get(self) -> dict[str, Any]:
        """List the nodes that ever joined: whether each lives, and how much there is on it."""
        return ok({"nodes": [serializers.node(view) for view in services().summary.all()]})

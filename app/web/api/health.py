"""Probes: is the process alive, and are the parts it needs?"""

from typing import Any

from flask.views import MethodView

from app import errors
from app.web.api.envelope import Resource, ok
from app.web.api.schemas import envelope
from app.web.request_scope import services

blueprint = Resource("health", __name__, description="Probes")


@blueprint.route("/healthz")
class Alive(MethodView):
    """Liveness."""

    @blueprint.response(200, envelope(None))
    def get(self) -> dict[str, Any]:
        """Answer as long as the process serves requests."""
        return ok()


@blueprint.route("/readyz")
class Ready(MethodView):
    """Readiness."""

    @blueprint.response(200, envelope(None))
    @blueprint.documents_errors()
    def get(self) -> dict[str, Any]:
        """Answer 503 and name the part, if Docker, etcd or NVML does not answer."""
        if problems := services().health.problems():
            part, problem = next(iter(problems.items()))
            raise errors.Unavailable(part, problem)
        return ok()

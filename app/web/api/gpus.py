"""GPUs: which are free, and everything known of each."""

from typing import Any

from flask.views import MethodView

from app import errors
from app.web.api import serializers
from app.web.api.async_requests import refuse_preview
from app.web.api.envelope import SENT_ON, Resource, ok
from app.web.api.schemas import GpuSchema, GpusQuery, GpusSchema, SchedulableSchema, envelope
from app.web.request_scope import services

blueprint = Resource("gpus", __name__, description="GPUs of all nodes")

Json = dict[str, Any]


@blueprint.route("/api/v1/gpus")
class Gpus(MethodView):
    """All GPUs of all nodes."""

    @blueprint.arguments(GpusQuery, location="query")
    @blueprint.response(200, envelope(GpusSchema))
    @blueprint.documents_errors()
    def get(self, query: Json) -> Json:
        """Tell which GPUs are free (0) and in use (1), of all nodes or of one; with detail=true describe each.

        Those of a node that does not answer count as in use. A container gets all its GPUs from one node, so a
        scheduler asks with `node` how many that has.
        """
        if not query["detail"]:
            return ok({"gpuStatus": services().gpus.status(query.get("node"))})
        gpus = [serializers.gpu(view) for view in services().gpus.all(query.get("node"))]
        return ok({"gpuStatus": {gpu["uuid"]: gpu["status"] for gpu in gpus}, "gpus": gpus})


@blueprint.route("/api/v1/gpus/<uuid>")
class Gpu(MethodView):
    """One GPU."""

    @blueprint.response(200, envelope(GpuSchema))
    @blueprint.documents_errors(errors.GpuNotFound, *SENT_ON)
    def get(self, uuid: str) -> Json:
        """Describe a GPU."""
        return ok(serializers.gpu(services().gpus.one(uuid)))

    @blueprint.arguments(SchedulableSchema)
    @blueprint.response(200, envelope(GpuSchema))
    @blueprint.documents_errors(errors.GpuNotFound, errors.GpuContended, *SENT_ON)
    def patch(self, body: Json, uuid: str) -> Json:
        """Take a GPU out of service, or return it and clear the fault that gpudock found.

        With `schedulable` false nobody is stopped: who holds the GPU keeps it while he runs, and after that it is not
        given out any more. A GPU that is returned and still faulty is taken out again within seconds.
        """
        refuse_preview()
        view, changed = services().gpus.schedule(uuid, body["schedulable"])
        return ok(serializers.gpu(view), changed)

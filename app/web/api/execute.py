"""Work in one container as it is: execute, logs, commit."""

from dataclasses import asdict
from typing import Any

from flask.views import MethodView

from app import errors
from app.model.names import parse
from app.web.api.async_requests import changing, execute, refuse_preview
from app.web.api.envelope import SENT_ON, Resource, ok
from app.web.api.schemas import (
    CommitSchema,
    CommittedSchema,
    ExecutedSchema,
    ExecuteSchema,
    LogsQuery,
    LogsSchema,
    envelope,
)
from app.web.request_scope import services

blueprint = Resource("inside", __name__, description="Work in a container")

Json = dict[str, Any]
MISSES: tuple[type[errors.DomainError], ...] = (errors.ContainerNotFound, errors.ContainerNameLacksVersion, *SENT_ON)


@blueprint.route("/api/v1/containers/<name>/execute")
class Execute(MethodView):
    """Commands."""

    @blueprint.arguments(ExecuteSchema)
    @blueprint.response(200, envelope(ExecutedSchema))
    @blueprint.documents_errors(*MISSES, errors.ContainerNotRunning, errors.CommandRefused, errors.CommandTimeout)
    def post(self, body: Json, name: str) -> Json:
        """Execute a command in a running container and answer what it printed."""
        refuse_preview()
        result = asdict(services().inside.execute(parse(name), body["cmd"], body["workDir"]))
        return ok({**result, "exitCode": result["exit_code"]})


@blueprint.route("/api/v1/containers/<name>/logs")
class Logs(MethodView):
    """The output of the main process."""

    @blueprint.arguments(LogsQuery, location="query")
    @blueprint.response(200, envelope(LogsSchema))
    @blueprint.documents_errors(*MISSES)
    def get(self, query: Json, name: str) -> Json:
        """Read the last lines of a container's log."""
        return ok({"logs": services().inside.logs(parse(name), query["tail"])})


@blueprint.route("/api/v1/containers/<name>/commit")
class Commit(MethodView):
    """Images of containers."""

    @changing(blueprint)
    @blueprint.arguments(CommitSchema)
    @blueprint.response(200, envelope(CommittedSchema))
    @blueprint.documents_errors(*MISSES, errors.ImageNameTaken, errors.OperationRunning, errors.CommitFailed)
    def post(self, body: Json, name: str) -> Any:
        """Commit a container to an image on this host."""
        committer, target = services().committer, parse(name)
        return execute(lambda: committer.commit(target, body["newImageName"]), _committed)


def _committed(made: tuple[str, str]) -> Json:
    container, image = made
    return ok({"container": container, "imageName": image})

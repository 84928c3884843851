"""Containers: create, list, show, change GPUs and volumes, stop, restart, delete."""

from typing import Any

from flask.views import MethodView

from app import errors
from app.containers.change_gpus import ChangeGpus
from app.containers.change_volume import ChangeVolume
from app.containers.create import CreateContainer
from app.containers.delete import DeleteContainer
from app.containers.restart import RestartContainer
from app.containers.rollback import RollBackContainer
from app.containers.stop import StopContainer
from app.containers.transactions import ContainerResult
from app.model.names import parse
from app.web.api import serializers
from app.web.api.async_requests import changing, execute
from app.web.api.cursor import read_cursor, write_cursor
from app.web.api.envelope import SENT_ON, Resource, ok
from app.web.api.schemas import (
    ContainerDetailSchema,
    ContainersSchema,
    CreateSchema,
    DeleteSchema,
    GpuChangeSchema,
    ListQuery,
    MadeSchema,
    RollbackSchema,
    VolumeChangeSchema,
    envelope,
)
from app.web.api.specs import bind_of, spec_of
from app.web.request_scope import place_container, services

blueprint = Resource("containers", __name__, description="Containers and versions")

Json = dict[str, Any]


@blueprint.route("/api/v1/containers")
class Containers(MethodView):
    """All containers of all nodes."""

    @blueprint.arguments(ListQuery, location="query")
    @blueprint.response(200, envelope(ContainersSchema))
    @blueprint.documents_errors()
    def get(self, query: Json) -> Json:
        """List containers, by name, and what is not as gpudock left it."""
        after = read_cursor(query.pop("cursor", None))
        page = services().containers.queries.page(after=after, **query)
        containers = [serializers.container(view) for view in page.containers]
        leftovers = [serializers.leftover(found) for found in page.leftovers]
        return ok({"containers": containers, "leftovers": leftovers, "next": write_cursor(page.after)})

    @changing(blueprint)
    @blueprint.arguments(CreateSchema)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.documents_errors(
        errors.ImageNameMissing,
        errors.ContainerNameMissing,
        errors.ContainerNameHasDash,
        errors.NameIllegal,
        errors.GpuCountNegative,
        errors.BindRefused,
        errors.EnvRefused,
        errors.ImageNotFound,
        errors.VolumeNotFound,
        errors.VolumeIncomplete,
        errors.Cancelled,
        errors.ContainerExists,
        errors.NotEnoughGpus,
        errors.PortTaken,
        errors.OperationRunning,
        errors.OperationStuck,
        errors.StartRefused,
        errors.StartFailed,
        errors.NodeNotFound,
        errors.VolumesApart,
        *SENT_ON,
    )
    def post(self, body: Json) -> Any:
        """Create and start a container with whole GPUs of its own.

        It is made on `node`. Without one: where its volumes are, else on the node with enough free GPUs that leaves
        the fewest over, else on the one that was asked.
        """
        spec = spec_of(body)
        place_container(body["containerName"], spec, body["node"])
        return execute(CreateContainer(body["containerName"], spec), _made)


@blueprint.route("/api/v1/containers/<name>")
class Container(MethodView):
    """One container, by its versioned name or its family's."""

    @blueprint.response(200, envelope(ContainerDetailSchema))
    @blueprint.documents_errors(errors.ContainerNotFound, errors.ContainerNameLacksVersion, *SENT_ON)
    def get(self, name: str) -> Json:
        """Show a container with its versions."""
        return ok(serializers.detail(services().containers.queries.show(parse(name))))

    @changing(blueprint)
    @blueprint.arguments(DeleteSchema)
    @blueprint.response(200, envelope(None))
    @blueprint.documents_errors(
        errors.ContainerNotFound,
        errors.ContainerNameLacksVersion,
        errors.ContainerRunning,
        errors.OperationRunning,
        errors.OperationStuck,
        errors.DeleteFailed,
        *SENT_ON,
    )
    def delete(self, body: Json, name: str) -> Any:
        """Delete a container and free its GPUs.

        `force` deletes a running one. With `delEtcdInfoAndVersionRecord` the family's record goes too (of an
        older version: that version's); without, record and files stay, and a change makes the next version.
        """
        force, erase = bool(body["force"]), bool(body["delEtcdInfoAndVersionRecord"])
        return execute(DeleteContainer(parse(name), force, erase), ok)


CHANGES: tuple[type[errors.DomainError], ...] = (
    errors.ContainerNotFound,
    errors.ContainerNameLacksVersion,
    errors.NotNewestVersion,
    errors.OperationRunning,
    errors.OperationStuck,
    *SENT_ON,
)
RECREATIONS: tuple[type[errors.DomainError], ...] = (
    *CHANGES,
    errors.ImageNotFound,
    errors.BindRefused,
    errors.VolumeNotFound,
    errors.VolumesApart,
    errors.NotEnoughGpus,
    errors.PortTaken,
    errors.ContainerExists,
    errors.VolumeIncomplete,
    errors.VolumeTooSmall,
    errors.Cancelled,
    errors.StartRefused,
)


@blueprint.route("/api/v1/containers/<name>/gpu")
class ContainerGpus(MethodView):
    """The GPUs of a container."""

    @changing(blueprint)
    @blueprint.arguments(GpuChangeSchema)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.documents_errors(*RECREATIONS, errors.GpuCountNegative, errors.GpuChangeFailed)
    def patch(self, body: Json, name: str) -> Any:
        """Change the number of GPUs: makes the next version, running, with everything that was in this one."""
        return execute(ChangeGpus(parse(name), body["gpuCount"]), _made)


@blueprint.route("/api/v1/containers/<name>/volume")
class ContainerVolume(MethodView):
    """The volumes of a container."""

    @changing(blueprint)
    @blueprint.arguments(VolumeChangeSchema)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.documents_errors(*RECREATIONS, errors.BindNotFound, errors.VolumeChangeFailed)
    def patch(self, body: Json, name: str) -> Any:
        """Mount another volume: makes the next version, running, with everything that was in this one.

        On the way from a volume to its direct successor (made by a resize) what was written meanwhile goes along:
        `merged` is true. If somebody has had the successor mounted it is left as it is: `merged` is false.
        """
        return execute(ChangeVolume(parse(name), bind_of(body["oldBind"]), bind_of(body["newBind"])), _made)


@blueprint.route("/api/v1/containers/<name>/rollback")
class ContainerRollback(MethodView):
    """Going back."""

    @changing(blueprint)
    @blueprint.arguments(RollbackSchema)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.documents_errors(*RECREATIONS, errors.RollbackFailed)
    def patch(self, body: Json, name: str) -> Any:
        """Make the next version, running, from the files and settings of an earlier one; volumes stay as they are."""
        return execute(RollBackContainer(parse(name), body["version"]), _made)


@blueprint.route("/api/v1/containers/<name>/stop")
class ContainerStop(MethodView):
    """Stopping."""

    @changing(blueprint)
    @blueprint.response(200, envelope(None))
    @blueprint.documents_errors(*CHANGES, errors.StopFailed)
    def patch(self, name: str) -> Any:
        """Stop a container and free its GPUs."""
        return execute(StopContainer(parse(name)), lambda made: ok(None, made.changed))


@blueprint.route("/api/v1/containers/<name>/restart")
class ContainerRestart(MethodView):
    """Restarting."""

    @changing(blueprint)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.documents_errors(*RECREATIONS, errors.RestartFailed)
    def patch(self, name: str) -> Any:
        """Restart a container: in place, or with new GPUs as the next version if it was stopped and had some."""
        return execute(RestartContainer(parse(name)), _made)


def _made(made: ContainerResult) -> Json:
    return ok(serializers.made(made), made.changed)

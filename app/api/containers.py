"""Containers: create, list, show, change GPUs and volumes, stop, restart, delete."""

import base64
import binascii
from typing import Any

from flask.views import MethodView

from app import errors
from app.api import present
from app.api.envelope import Resource, ok
from app.api.schemas import (
    ContainerDetailSchema,
    ContainersSchema,
    CreateSchema,
    DeleteSchema,
    GpuChangeSchema,
    ListQuery,
    MadeSchema,
    VolumeChangeSchema,
    envelope,
)
from app.domain.containers import Bind, PortMapping, Spec
from app.domain.naming import parse
from app.web import services

blueprint = Resource("containers", __name__, url_prefix="/api/v1/containers", description="Containers and versions")

Json = dict[str, Any]


@blueprint.route("")
class Containers(MethodView):
    """All containers of the host."""

    @blueprint.arguments(ListQuery, location="query")
    @blueprint.response(200, envelope(ContainersSchema))
    @blueprint.fails()
    def get(self, query: Json) -> Json:
        """List containers, by name."""
        after = read_cursor(query.pop("cursor", None))
        page = services().inquiry.containers(after=after, **query)
        return ok({"containers": [present.container(v) for v in page.containers], "next": write_cursor(page.after)})

    @blueprint.arguments(CreateSchema)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.fails(
        errors.ImageNameMissing,
        errors.ContainerNameMissing,
        errors.ContainerNameHasDash,
        errors.NameIllegal,
        errors.GpuCountNegative,
        errors.BindRefused,
        errors.EnvRefused,
        errors.ImageNotFound,
        errors.VolumeNotFound,
        errors.ContainerExists,
        errors.NotEnoughGpus,
        errors.PortTaken,
        errors.OperationRunning,
        errors.StartRefused,
        errors.StartFailed,
    )
    def post(self, body: Json) -> Json:
        """Create and start a container with whole GPUs of its own."""
        return ok(present.made(services().creator.create(body["containerName"], spec_of(body))))


@blueprint.route("/<name>")
class Container(MethodView):
    """One container, by its versioned name or its family's."""

    @blueprint.response(200, envelope(ContainerDetailSchema))
    @blueprint.fails(errors.ContainerNotFound, errors.ContainerNameLacksVersion, errors.OnAnotherNode)
    def get(self, name: str) -> Json:
        """Show a container with its versions."""
        return ok(present.detail(services().inquiry.container(parse(name))))

    @blueprint.arguments(DeleteSchema)
    @blueprint.response(200, envelope(None))
    @blueprint.fails(
        errors.ContainerNotFound,
        errors.ContainerNameLacksVersion,
        errors.ContainerRunning,
        errors.OperationRunning,
        errors.OnAnotherNode,
        errors.DeleteFailed,
    )
    def delete(self, body: Json, name: str) -> Json:
        """Delete a container and free its GPUs.

        `force` deletes a running one. With `delEtcdInfoAndVersionRecord` the family's record goes too (of an
        older version: that version's); without, record and files stay, and a change makes the next version.
        """
        services().deleter.delete(parse(name), bool(body["force"]), bool(body["delEtcdInfoAndVersionRecord"]))
        return ok()


CHANGES = (
    errors.ContainerNotFound,
    errors.ContainerNameLacksVersion,
    errors.NotNewestVersion,
    errors.OperationRunning,
    errors.OnAnotherNode,
)
RECREATIONS = (
    *CHANGES,
    errors.ImageNotFound,
    errors.BindRefused,
    errors.VolumeNotFound,
    errors.NotEnoughGpus,
    errors.PortTaken,
    errors.ContainerExists,
    errors.StartRefused,
)


@blueprint.route("/<name>/gpu")
class ContainerGpus(MethodView):
    """The GPUs of a container."""

    @blueprint.arguments(GpuChangeSchema)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.fails(*RECREATIONS, errors.GpuCountNegative, errors.GpuChangeFailed)
    def patch(self, body: Json, name: str) -> Json:
        """Change the number of GPUs: makes the next version, running, with everything that was in this one."""
        made = services().recreator.change_gpus(parse(name), body["gpuCount"])
        return ok(present.made(made), made.changed)


@blueprint.route("/<name>/volume")
class ContainerVolume(MethodView):
    """The volumes of a container."""

    @blueprint.arguments(VolumeChangeSchema)
    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.fails(*RECREATIONS, errors.BindNotFound, errors.VolumeChangeFailed)
    def patch(self, body: Json, name: str) -> Json:
        """Mount another volume: makes the next version, running, with everything that was in this one."""
        old, new = bind_of(body["oldBind"]), bind_of(body["newBind"])
        made = services().recreator.change_volume(parse(name), old, new)
        return ok(present.made(made), made.changed)


@blueprint.route("/<name>/stop")
class ContainerStop(MethodView):
    """Stopping."""

    @blueprint.response(200, envelope(None))
    @blueprint.fails(*CHANGES, errors.StopFailed)
    def patch(self, name: str) -> Json:
        """Stop a container and free its GPUs."""
        made = services().lifecycle.stop(parse(name))
        return ok(None, made.changed)


@blueprint.route("/<name>/restart")
class ContainerRestart(MethodView):
    """Restarting."""

    @blueprint.response(200, envelope(MadeSchema))
    @blueprint.fails(*RECREATIONS, errors.RestartFailed)
    def patch(self, name: str) -> Json:
        """Restart a container: in place, or with new GPUs as the next version if it was stopped and had some."""
        return ok(present.made(services().lifecycle.restart(parse(name))))


def bind_of(body: Json) -> Bind:
    """The bind that a request's src and dest describe."""
    return Bind(body["src"], body["dest"])


def spec_of(body: Json) -> Spec:
    """The spec that a create's body describes; InvalidRequest if it has both `Ports` and `ports`."""
    if body.get("Ports") and body.get("ports"):
        raise errors.InvalidRequest("the body has both Ports and ports; give one of them")
    ports = body.get("Ports") or body.get("ports") or []
    return Spec(
        image=body["imageName"],
        gpu_count=body["gpuCount"] or 0,
        binds=tuple(bind_of(bind) for bind in body["binds"] or ()),
        env=tuple(body["env"] or ()),
        cmd=tuple(body["cmd"] or ()),
        ports=tuple(PortMapping(port["hostPort"] or 0, port["containerPort"]) for port in ports),
    )


def write_cursor(family: str | None) -> str | None:
    """An opaque cursor for the page after `family`."""
    return base64.urlsafe_b64encode(family.encode()).decode() if family else None


def read_cursor(cursor: str | None) -> str | None:
    """The family that `write_cursor` was given; InvalidRequest for anything else."""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode() if cursor else None
    except (binascii.Error, ValueError) as exc:
        raise errors.InvalidRequest("cursor must be the `next` of an earlier answer") from exc

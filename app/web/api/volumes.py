"""Volumes: create, list, show, resize, roll back, delete."""

from typing import Any

from flask.views import MethodView

from app import errors
from app.model.names import VOLUME, parse
from app.volumes.transactions import VolumeResult
from app.web.api import serializers
from app.web.api.async_requests import changing, execute
from app.web.api.cursor import read_cursor, write_cursor
from app.web.api.envelope import SENT_ON, Resource, ok
from app.web.api.schemas import DeleteSchema, RollbackSchema, envelope
from app.web.api.schemas_volumes import (
    MadeVolumeSchema,
    SizeSchema,
    VolumeCreateSchema,
    VolumeDetailSchema,
    VolumesQuery,
    VolumesSchema,
)
from app.web.request_scope import place_volume, services

blueprint = Resource("volumes", __name__, description="Sized volumes and versions")

Json = dict[str, Any]
MISSES: tuple[type[errors.DomainError], ...] = (
    errors.VolumeNotFound,
    errors.VolumeNameLacksVersion,
    errors.VolumeNameHasDash,
    errors.NameIllegal,
    errors.OperationRunning,
    *SENT_ON,
)
REMAKES: tuple[type[errors.DomainError], ...] = (
    *MISSES,
    errors.NotNewestVersion,
    errors.VolumeTooSmall,
    errors.VolumeIncomplete,
    errors.Cancelled,
    errors.VolumeCreateFailed,
    errors.VolumeChangeFailed,
)


@blueprint.route("/api/v1/volumes")
class Volumes(MethodView):
    """All volumes of all nodes."""

    @blueprint.arguments(VolumesQuery, location="query")
    @blueprint.response(200, envelope(VolumesSchema))
    @blueprint.documents_errors()
    def get(self, query: Json) -> Json:
        """List volumes, by name: size, bytes in use, who mounts them, and what is not as gpudock left it."""
        after = read_cursor(query.pop("cursor", None))
        page = services().volumes.inquiry.volumes(after=after, **query)
        return ok({"volumes": [serializers.volume(v) for v in page.volumes], "next": write_cursor(page.after)})

    @changing(blueprint)
    @blueprint.arguments(VolumeCreateSchema)
    @blueprint.response(200, envelope(MadeVolumeSchema))
    @blueprint.documents_errors(
        errors.VolumeNameMissing,
        errors.VolumeNameHasDash,
        errors.VolumeNameBeginsWithSlash,
        errors.NameIllegal,
        errors.SizeUnitUnsupported,
        errors.VolumeExists,
        errors.OperationRunning,
        errors.Cancelled,
        errors.VolumeCreateFailed,
        errors.NodeNotFound,
        *SENT_ON,
    )
    def post(self, body: Json) -> Any:
        """Create an empty volume of a size that is enforced, as far as the host can: on `node`, or the one asked."""
        creator = services().volumes.creator
        place_volume(body["node"])
        return execute(lambda: creator.create(body["name"], body["size"]), _made)


@blueprint.route("/api/v1/volumes/<name>")
class Volume(MethodView):
    """One volume, by its versioned name or its family's."""

    @blueprint.response(200, envelope(VolumeDetailSchema))
    @blueprint.documents_errors(*MISSES)
    def get(self, name: str) -> Json:
        """Show a volume with its versions."""
        return ok(serializers.volume_detail(services().volumes.inquiry.volume(parse(name, VOLUME))))

    @changing(blueprint)
    @blueprint.arguments(DeleteSchema)
    @blueprint.response(200, envelope(None))
    @blueprint.documents_errors(*MISSES, errors.VolumeInUse, errors.VolumeDeleteFailed)
    def delete(self, body: Json, name: str) -> Any:
        """Delete a volume; one that a container which does not run still names, only with `force`.

        With `delEtcdInfoAndVersionRecord` the family's record goes too (of an older version: that version's);
        without, the record stays, and of the newest version the data as well: a resize makes the next version.
        """
        deleter, target = services().volumes.deleter, parse(name, VOLUME)
        force, erase = bool(body["force"]), bool(body["delEtcdInfoAndVersionRecord"])
        return execute(lambda: deleter.delete(target, force, erase), ok)


@blueprint.route("/api/v1/volumes/<name>/size")
class VolumeSize(MethodView):
    """The size of a volume."""

    @changing(blueprint)
    @blueprint.arguments(SizeSchema)
    @blueprint.response(200, envelope(MadeVolumeSchema))
    @blueprint.documents_errors(*REMAKES, errors.SizeUnitUnsupported)
    def patch(self, body: Json, name: str) -> Any:
        """Resize a volume: makes the next version with everything that is in this one."""
        resizer, target = services().volumes.resizer, parse(name, VOLUME)
        return execute(lambda: resizer.resize(target, body["size"]), _made)


@blueprint.route("/api/v1/volumes/<name>/rollback")
class VolumeRollback(MethodView):
    """Going back."""

    @changing(blueprint)
    @blueprint.arguments(RollbackSchema)
    @blueprint.response(200, envelope(MadeVolumeSchema))
    @blueprint.documents_errors(*REMAKES)
    def patch(self, body: Json, name: str) -> Any:
        """Make the next version with the data and size of an earlier one."""
        resizer, target = services().volumes.resizer, parse(name, VOLUME)
        return execute(lambda: resizer.rollback(target, body["version"]), _made)


def _made(made: VolumeResult) -> Json:
    return ok(serializers.made_volume(made), made.changed)

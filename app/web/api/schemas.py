"""Shapes of what goes in and out. They check types only; which values are allowed, services say with their codes."""

from functools import cache
from typing import Any

from marshmallow import Schema, fields, validate

from app.containers.queries import STATES
from app.model.drift import CONTAINER_KINDS


class BindSchema(Schema):
    """A mount: a host directory or a Docker volume, and where it appears in the container."""

    src = fields.String(required=True, metadata={"description": "absolute host path, or a volume's versioned name"})
    dest = fields.String(required=True, metadata={"description": "absolute path in the container"})


class PortSchema(Schema):
    """A published TCP port; without hostPort (or with 0) a free one from the configured range is chosen."""

    hostPort = fields.Integer(strict=True, load_default=0, allow_none=True, metadata={"example": 0})
    containerPort = fields.Integer(strict=True, required=True, metadata={"example": 22})


def _ports() -> Any:
    return fields.List(fields.Nested(PortSchema), allow_none=True, metadata={"description": "published ports"})


class CreateSchema(Schema):
    """A container to create."""

    imageName = fields.String(load_default="", metadata={"example": "busybox:local"})
    containerName = fields.String(load_default="", metadata={"example": "knockGpu"})
    gpuCount = fields.Integer(strict=True, load_default=0, allow_none=True, metadata={"example": 1})
    binds = fields.List(fields.Nested(BindSchema), load_default=list, allow_none=True)
    env = fields.List(fields.String(), load_default=list, allow_none=True, metadata={"example": ["USER=foo"]})
    cmd = fields.List(fields.String(), load_default=list, allow_none=True, metadata={"example": ["/bin/sh"]})
    Ports = _ports()
    ports = _ports()
    node = fields.String(load_default=None, allow_none=True, metadata={"description": "where it is to be made"})


class GpuChangeSchema(Schema):
    """The number of GPUs that the container shall have."""

    gpuCount = fields.Integer(strict=True, required=True, metadata={"example": 2})


class VolumeChangeSchema(Schema):
    """The bind of a volume to replace, and what to mount instead."""

    type = fields.String(required=True, validate=validate.OneOf(["volume"]))
    oldBind = fields.Nested(BindSchema, required=True)
    newBind = fields.Nested(BindSchema, required=True)


class DeleteSchema(Schema):
    """The extent of a deletion: a running container too, and the record too."""

    force = fields.Boolean(load_default=False, allow_none=True)
    delEtcdInfoAndVersionRecord = fields.Boolean(load_default=False, allow_none=True)


class CommitSchema(Schema):
    """The name of the image to make; without it the container's id."""

    newImageName = fields.String(load_default=None, allow_none=True, metadata={"example": "advocate-0-12-27"})


class ExecuteSchema(Schema):
    """A command for the container."""

    cmd = fields.List(fields.String(), required=True, metadata={"example": ["nvidia-smi"]})
    workDir = fields.String(load_default=None, allow_none=True)


class ListQuery(Schema):
    """The containers to list."""

    state = fields.String(validate=validate.OneOf(STATES))
    gpu = fields.String(metadata={"description": "only the holder of the GPU with this UUID"})
    name = fields.String(metadata={"description": "only names that contain this"})
    node = fields.String(metadata={"description": "only what is on this node"})
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    cursor = fields.String(metadata={"description": "`next` of the page before"})


class RollbackSchema(Schema):
    """The version to go back to."""

    version = fields.Integer(strict=True, required=True, metadata={"example": 0})


class LogsQuery(Schema):
    """The part of the log to read."""

    tail = fields.Integer(load_default=100, validate=validate.Range(1, 10_000))


class GpusQuery(Schema):
    """The GPUs to list, described each or not; those of all nodes unless one is named."""

    detail = fields.Boolean(load_default=False)
    node = fields.String(metadata={"description": "only those of this node"})


class SchedulableSchema(Schema):
    """The permission to give the GPU out."""

    schedulable = fields.Boolean(required=True, truthy={True}, falsy={False}, metadata={"example": False})


class MadeSchema(Schema):
    """A container's id (64 hex digits) and versioned name.

    `merged` is there only after a move to the direct successor of a volume.
    """

    id = fields.String()
    name = fields.String()
    merged = fields.Boolean()


class CommittedSchema(Schema):
    """The container and the image made of it."""

    container = fields.String()
    imageName = fields.String()


class ExecutedSchema(Schema):
    """The output of a command, at most 1 MiB of each stream; `truncated` says that there was more.

    `exitCode` is null for a command that was killed because it printed more than 64 MiB.
    """

    stdout = fields.String()
    stderr = fields.String()
    exitCode = fields.Integer(allow_none=True)
    truncated = fields.Boolean()


class LogsSchema(Schema):
    """The last lines that the main process printed."""

    logs = fields.String()


class DriftSchema(Schema):
    """A difference from how gpudock left something: what is the matter, and what to do about it."""

    kind = fields.String(validate=validate.OneOf(CONTAINER_KINDS))
    reason = fields.String()
    advice = fields.String()


class VersionSchema(Schema):
    """One version of a container."""

    name = fields.String()
    version = fields.Integer()
    id = fields.String()
    state = fields.String()
    why = fields.String(
        metadata={"description": "the operation that made it: create, adopt, gpu, volume, restart, rollback"}
    )
    parent = fields.Integer(allow_none=True)
    created = fields.String()
    removed = fields.String(allow_none=True)
    gpuCount = fields.Integer()
    gpus = fields.List(fields.String(), metadata={"description": "UUIDs it was created with"})
    image = fields.String()
    drift = fields.List(fields.Nested(DriftSchema), metadata={"description": "empty if all is well"})


class ContainerSchema(Schema):
    """A container's newest version."""

    name = fields.String()
    version = fields.Integer()
    id = fields.String()
    state = fields.String(validate=validate.OneOf(STATES))
    image = fields.String()
    imageId = fields.String()
    node = fields.String()
    gpuCount = fields.Integer()
    gpus = fields.List(fields.String(), metadata={"description": "UUIDs it holds now"})
    ports = fields.List(fields.Nested(PortSchema))
    binds = fields.List(fields.Nested(BindSchema))
    env = fields.List(fields.String())
    cmd = fields.List(fields.String())
    created = fields.String()
    updated = fields.String()
    drift = fields.List(fields.Nested(DriftSchema), metadata={"description": "of all versions; empty if all is well"})


class ContainerDetailSchema(ContainerSchema):
    """A container with all its versions, newest first."""

    versions = fields.List(fields.Nested(VersionSchema))


class LeftoverSchema(Schema):
    """A container in Docker that belonged to a family whose record was deleted."""

    name = fields.String(metadata={"description": "as Docker has it"})
    id = fields.String()
    state = fields.String(metadata={"description": "in Docker's words: running, exited, created, ..."})
    node = fields.String()
    drift = fields.List(fields.Nested(DriftSchema))


class ContainersSchema(Schema):
    """A page of containers by name; `next` is the cursor of the following one, null on the last.

    `leftovers` are on the first page, unless only some state or a GPU's holder was asked for.
    """

    containers = fields.List(fields.Nested(ContainerSchema))
    leftovers = fields.List(fields.Nested(LeftoverSchema))
    next = fields.String(allow_none=True)


class HolderSchema(Schema):
    """The container that holds a GPU."""

    name = fields.String()
    id = fields.String(allow_none=True)


class GpuSchema(Schema):
    """A GPU. Memory in bytes, utilisation in %, temperature in °C, power in W; null where the device does not say."""

    uuid = fields.String()
    index = fields.Integer()
    node = fields.String()
    status = fields.Integer(metadata={"description": "0 free, 1 in use or not to be given out"})
    model = fields.String(allow_none=True)
    memoryTotal = fields.Integer(allow_none=True)
    memoryUsed = fields.Integer(allow_none=True)
    utilisation = fields.Integer(allow_none=True)
    temperature = fields.Integer(allow_none=True)
    power = fields.Float(allow_none=True)
    healthy = fields.Boolean()
    schedulable = fields.Boolean(metadata={"description": "what an operator said: false keeps it out of service"})
    reason = fields.String(allow_none=True, metadata={"description": "why it is not given out"})
    advice = fields.String(allow_none=True, metadata={"description": "what to do about it"})
    since = fields.String(allow_none=True, metadata={"description": "when it went out of service"})
    holder = fields.Nested(HolderSchema, allow_none=True)


class GpusSchema(Schema):
    """UUID to 0 (free) or 1 (in use); with detail=true every GPU described too."""

    gpuStatus = fields.Dict(keys=fields.String(), values=fields.Integer())
    gpus = fields.List(fields.Nested(GpuSchema))


class ErrorEnvelope(Schema):
    """An error: a stable code, a sentence that a person can act on, details, and the request's id."""

    code = fields.Integer()
    msg = fields.String()
    data = fields.Raw(allow_none=True)
    requestId = fields.String()


@cache
def envelope(data: type[Schema] | None) -> type[Schema]:
    """The contract's envelope around `data` (None: always null)."""
    inner = fields.Nested(data) if data else fields.Raw(allow_none=True, dump_default=None)
    name = f"{data.__name__.removesuffix('Schema')}Envelope" if data else "EmptyEnvelope"
    shape = {"code": fields.Integer(), "msg": fields.String(), "data": inner}
    return type(name, (Schema,), {**shape, "__doc__": "The envelope of a success."})

"""Shapes of what goes in and out of the calls on volumes."""

from marshmallow import Schema, fields, validate

from app.model.drift import VOLUME_KINDS
from app.volumes.queries import STATES as VOLUME_STATES
from app.web.api.schemas import DriftSchema


class VolumeCreateSchema(Schema):
    """A volume to create; its size is a number and one of KB, MB, GB, TB, which are binary (1 KB = 1024 bytes)."""

    name = fields.String(load_default="", metadata={"example": "rubVol"})
    size = fields.String(required=True, metadata={"example": "20GB"})
    node = fields.String(load_default=None, allow_none=True, metadata={"description": "where it is to be made"})


class SizeSchema(Schema):
    """The size that the volume shall have."""

    size = fields.String(required=True, metadata={"example": "50GB"})


class VolumesQuery(Schema):
    """The volumes to list."""

    state = fields.String(validate=validate.OneOf(VOLUME_STATES))
    name = fields.String(metadata={"description": "only names that contain this"})
    container = fields.String(metadata={"description": "only those that the container of this versioned name mounts"})
    node = fields.String(metadata={"description": "only what is on this node"})
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    cursor = fields.String(metadata={"description": "`next` of the page before"})


class MadeVolumeSchema(Schema):
    """A volume's versioned name and size; `enforced` is there, and false, only where its size is not enforced."""

    name = fields.String()
    size = fields.String()
    enforced = fields.Boolean()


class MountSchema(Schema):
    """A container that mounts the volume, at a path in it."""

    container = fields.String()
    dest = fields.String()
    running = fields.Boolean()


class VolumeDriftSchema(DriftSchema):
    """A difference from how gpudock left a volume."""

    kind = fields.String(validate=validate.OneOf(VOLUME_KINDS))


class VolumeVersionSchema(Schema):
    """One version of a volume. `bytes` is its size, `used` what is in use of `capacity`; null where nobody measures."""

    name = fields.String()
    version = fields.Integer()
    state = fields.String(validate=validate.OneOf(VOLUME_STATES))
    size = fields.String()
    bytes = fields.Integer()
    used = fields.Integer(allow_none=True)
    capacity = fields.Integer(allow_none=True)
    files = fields.Integer(allow_none=True)
    enforced = fields.Boolean()
    way = fields.String(metadata={"description": "how the size is enforced: quota, loop, none"})
    complete = fields.Boolean(metadata={"description": "false after a change that broke off while it was filled"})
    mountedBy = fields.List(fields.Nested(MountSchema))
    why = fields.String(metadata={"description": "the operation that made it: create, adopt, resize, rollback"})
    parent = fields.Integer(allow_none=True, metadata={"description": "the version whose data it began with"})
    created = fields.String()
    removed = fields.String(allow_none=True)
    node = fields.String()
    drift = fields.List(fields.Nested(VolumeDriftSchema), metadata={"description": "empty if all is well"})


class VolumeSchema(VolumeVersionSchema):
    """A volume's newest version, and how many versions are recorded; `drift` is that of all versions."""

    versionCount = fields.Integer()
    updated = fields.String()


class VolumeDetailSchema(VolumeSchema):
    """A volume with all its versions, newest first."""

    versions = fields.List(fields.Nested(VolumeVersionSchema))


class VolumesSchema(Schema):
    """A page of volumes by name; `next` is the cursor of the following one, null on the last."""

    volumes = fields.List(fields.Nested(VolumeSchema))
    next = fields.String(allow_none=True)

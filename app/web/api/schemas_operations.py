"""Shapes of operations, and of the previews of what one would do."""

from marshmallow import Schema, fields, validate

from app.model.operation import State
from app.operations.base import Resolution
from app.operations.requester import CHANNELS


class OperationsQuery(Schema):
    """The operations to list."""

    state = fields.String(validate=validate.OneOf([*State]))
    kind = fields.String(metadata={"description": "only those of this kind", "example": "create"})
    name = fields.String(metadata={"description": "only those on something whose name contains this"})
    node = fields.String(metadata={"description": "only what is on this node"})
    who = fields.String(metadata={"description": "only what was asked for with the token of this name"})
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 1000))
    cursor = fields.String(metadata={"description": "`next` of the page before"})


class StepSchema(Schema):
    """A step that an operation came to."""

    step = fields.String()
    reached = fields.String()


class OperationSchema(Schema):
    """A change: `undone` ones left nothing behind, `stuck` ones wait for somebody to resolve them.

    Bytes count a copy that takes longer than a second.
    """

    id = fields.String()
    kind = fields.String()
    resource = fields.String(metadata={"description": "containers, volumes or images"})
    target = fields.String(
        metadata={"description": "the versioned name of what it makes or acts on, or an image's name"}
    )
    node = fields.String()
    state = fields.String(validate=validate.OneOf([*State]))
    step = fields.String()
    bytesDone = fields.Integer(allow_none=True)
    bytesTotal = fields.Integer(allow_none=True)
    started = fields.String()
    ended = fields.String(allow_none=True)
    error = fields.String(allow_none=True)
    code = fields.Integer(allow_none=True, metadata={"description": "of the error; a change may answer with its own"})
    by = fields.String(allow_none=True, metadata={"description": f"how it was asked for: {', '.join(CHANNELS)}"})
    who = fields.String(allow_none=True, metadata={"description": "the name of the token of whoever asked for it"})
    requestId = fields.String(allow_none=True, metadata={"description": "of the request that asked for it"})
    steps = fields.List(fields.Nested(StepSchema))


class WayOutSchema(Schema):
    """One way to resolve a stuck operation: its effects if it is possible, else the reason why not."""

    possible = fields.Boolean()
    effects = fields.List(fields.String())
    reason = fields.String(allow_none=True)


class ResolutionsSchema(Schema):
    """The ways out for an operation that is stuck."""

    finish = fields.Nested(WayOutSchema)
    undo = fields.Nested(WayOutSchema)
    forget = fields.Nested(WayOutSchema)


class OperationDetailSchema(OperationSchema):
    """A change; the ways out if it is stuck or its node is gone, null otherwise and if its node cannot be asked."""

    resolutions = fields.Nested(ResolutionsSchema, allow_none=True)


class ResolveSchema(Schema):
    """The way out to take."""

    how = fields.String(required=True, validate=validate.OneOf([*Resolution]))


class ResolvedSchema(OperationSchema):
    """The operation as it ended, and the effects that this had; with dryRun=true those that it would have."""

    dryRun = fields.Boolean()
    effects = fields.List(fields.String())


class OperationsSchema(Schema):
    """A page of operations, the newest first; `next` is the cursor of the following one, null on the last."""

    operations = fields.List(fields.Nested(OperationSchema))
    next = fields.String(allow_none=True)


class BlockerSchema(Schema):
    """The reason for which a change would be refused, as its error would say."""

    code = fields.Integer()
    msg = fields.String()
    data = fields.Raw(allow_none=True)


class PreviewSchema(Schema):
    """The effects of a change. GPUs and free ports are chosen anew when it really happens; `expectedDowntime` in s."""

    dryRun = fields.Boolean()
    changes = fields.Boolean(metadata={"description": "false if there is nothing to change, or a blocker"})
    kind = fields.String(allow_none=True)
    name = fields.String(allow_none=True, metadata={"description": "what would be made or acted on"})
    gpus = fields.List(fields.String())
    ports = fields.List(fields.Integer())
    bytesToCopy = fields.Integer()
    filesToCopy = fields.Integer()
    expectedDowntime = fields.Float()
    blockers = fields.List(fields.Nested(BlockerSchema))

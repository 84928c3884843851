"""Shapes of what is told of nodes."""

from marshmallow import Schema, fields


class NodeSchema(Schema):
    """A node. `alive` is a hint: it may have ended, or come back, a few seconds ago."""

    name = fields.String()
    alive = fields.Boolean(metadata={"description": "whether its reconcile process runs"})
    url = fields.String(allow_none=True, metadata={"description": "where it answers other nodes; null if it does not"})
    version = fields.String(allow_none=True, metadata={"description": "of its gpudock"})
    seen = fields.String(allow_none=True, metadata={"description": "when it last looked, by its own clock"})
    problem = fields.String(allow_none=True, metadata={"description": "why nobody knows how its things are"})
    gpusTotal = fields.Integer(allow_none=True)
    gpusFree = fields.Integer(allow_none=True)
    containers = fields.Integer()
    volumes = fields.Integer()


class NodesSchema(Schema):
    """Every node by name."""

    nodes = fields.List(fields.Nested(NodeSchema))

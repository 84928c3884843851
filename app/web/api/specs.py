"""The spec of a container in JSON: as callers send it, and as answers show it. A new field of `Spec` goes in here."""

from typing import Any

from marshmallow import Schema, fields

from app import errors
from app.model.container import Bind, PortMapping, Spec
from app.model.messages import Text

Json = dict[str, Any]


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


class SpecSchema(Schema):
    """The spec as a create asks for it."""

    imageName = fields.String(load_default="", metadata={"example": "busybox:local"})
    gpuCount = fields.Integer(strict=True, load_default=0, allow_none=True, metadata={"example": 1})
    binds = fields.List(fields.Nested(BindSchema), load_default=list, allow_none=True)
    env = fields.List(fields.String(), load_default=list, allow_none=True, metadata={"example": ["USER=foo"]})
    cmd = fields.List(fields.String(), load_default=list, allow_none=True, metadata={"example": ["/bin/sh"]})
    Ports = _ports()
    ports = _ports()


class ShownSpecSchema(Schema):
    """The spec of a version as lists and details show it."""

    image = fields.String()
    gpuCount = fields.Integer()
    ports = fields.List(fields.Nested(PortSchema))
    binds = fields.List(fields.Nested(BindSchema))
    env = fields.List(fields.String())
    cmd = fields.List(fields.String())


def bind_of(body: Json) -> Bind:
    """The bind that a request's src and dest describe."""
    return Bind(body["src"], body["dest"])


def spec_of(body: Json) -> Spec:
    """The spec that a create's body describes; InvalidRequest if it has both `Ports` and `ports`."""
    if body.get("Ports") and body.get("ports"):
        raise errors.InvalidRequest(Text("the body has both Ports and ports; give one of them"))
    ports = body.get("Ports") or body.get("ports") or []
    return Spec(
        image=body["imageName"],
        gpu_count=body["gpuCount"] or 0,
        binds=tuple(bind_of(bind) for bind in body["binds"] or ()),
        env=tuple(body["env"] or ()),
        cmd=tuple(body["cmd"] or ()),
        ports=tuple(PortMapping(port["hostPort"] or 0, port["containerPort"]) for port in ports),
    )


def shown(spec: Spec) -> Json:
    """Show a version's spec, its host ports filled in."""
    return {
        "image": spec.image,
        "gpuCount": spec.gpu_count,
        "ports": [{"hostPort": port.host, "containerPort": port.container} for port in spec.ports],
        "binds": [{"src": bind.src, "dest": bind.dest} for bind in spec.binds],
        "env": list(spec.env),
        "cmd": list(spec.cmd),
    }

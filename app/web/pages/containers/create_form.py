"""The form for a new container as it was typed, and its faults field by field."""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from werkzeug.datastructures import MultiDict

from app import errors
from app.model.container import Bind, PortMapping, Spec
from app.model.messages import Text
from app.model.names import check_family
from app.model.validation import check_binds, check_command, check_env, check_image, check_ports

Rows = tuple[tuple[str, str], ...]
_SPARE_ROWS = 2
# Which field an error of the service is about.
_FIELDS: tuple[tuple[str, tuple[type[errors.DomainError], ...]], ...] = (
    ("name", (errors.ContainerExists, errors.NameIllegal, errors.ContainerNameMissing, errors.ContainerNameHasDash)),
    ("image", (errors.ImageNotFound, errors.ImageNameMissing)),
    ("gpus", (errors.NotEnoughGpus, errors.GpuCountNegative)),
    ("node", (errors.NodeNotFound, errors.NodeUnreachable, errors.NodeRefused)),
    ("mounts", (errors.BindRefused, errors.VolumeNotFound, errors.VolumeIncomplete, errors.VolumesApart)),
    ("ports", (errors.PortTaken,)),
    ("env", (errors.EnvRefused,)),
    ("command", (errors.StartRefused,)),
)


@dataclass(frozen=True)
class Draft:
    """The form's fields as they were typed. Rows of mounts are source and place, those of ports container and host."""

    name: str = ""
    image: str = ""
    gpus: str = "0"
    node: str = ""
    command: str = ""
    env: str = ""
    mounts: Rows = ()
    ports: Rows = ()

    @property
    def spec(self) -> Spec:
        """Return the spec that the draft asks for; to be used only if `problems` found none."""
        return Spec(
            image=self.image,
            gpu_count=int(self.gpus or "0"),
            binds=tuple(Bind(source, place) for source, place in self.mounts),
            env=tuple(line.strip() for line in self.env.splitlines() if line.strip()),
            cmd=tuple(shlex.split(self.command)),
            ports=tuple(PortMapping(int(host or "0"), int(container)) for container, host in self.ports),
        )


def read(form: "MultiDict[str, str]") -> Draft:
    """The draft in a form, without its empty rows."""
    words = {key: form.get(key, "").strip() for key in ("name", "image", "gpus", "node", "command")}
    mounts = _rows(form.getlist("mount_source"), form.getlist("mount_place"))
    ports = _rows(form.getlist("port_container"), form.getlist("port_host"))
    return Draft(**words, env=form.get("env", ""), mounts=mounts, ports=ports)


def spare(rows: Rows, more: bool) -> Rows:
    """The rows that the form shows: what was typed, and empty ones to type into."""
    return (*rows, *(("", ""),) * (_SPARE_ROWS * 2 if more else _SPARE_ROWS))


def problems(draft: Draft) -> dict[str, str]:
    """Find the faults of the draft by itself: a sentence by field."""
    checks: dict[str, Callable[[], Any]] = {
        "name": lambda: check_family(draft.name),
        "image": lambda: check_image(draft.image),
        "gpus": lambda: _number(draft.gpus or "0", Text("give a whole number of GPUs, 0 or more")),
        "mounts": lambda: check_binds(Bind(source, place) for source, place in draft.mounts),
        "ports": lambda: check_ports(_ports(draft.ports)),
        "env": lambda: [check_env(line.strip()) for line in draft.env.splitlines() if line.strip()],
        "command": lambda: check_command(_words(draft.command)),
    }
    found = {}
    for field, check in checks.items():
        try:
            check()
        except errors.InvalidRequest as exc:
            found[field] = exc.message
    return found


def field_of(error: errors.DomainError) -> str | None:
    """The field that an error of the service is about, None if it is about none of them."""
    return next((field for field, kinds in _FIELDS if isinstance(error, kinds)), None)


def _rows(first: Iterable[str], second: Iterable[str]) -> Rows:
    pairs = [(a.strip(), b.strip()) for a, b in zip_longest(first, second, fillvalue="")]
    return tuple(pair for pair in pairs if any(pair))


def _ports(rows: Rows) -> list[PortMapping]:
    wrong = Text("ports are numbers from 1 to 65535; leave the host's one empty to get a free one")
    return [PortMapping(_number(host or "0", wrong), _number(container, wrong)) for container, host in rows]


def _number(text: str, otherwise: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.InvalidRequest(otherwise)
    return int(text)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as exc:
        raise errors.InvalidRequest(Text("a quotation mark is missing")) from exc

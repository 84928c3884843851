"""Compare the specs of two versions of a container."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.model.container import Spec

KINDS = ("image", "gpus", "mount", "port", "env", "command")


@dataclass(frozen=True)
class Difference:
    """One thing that is different: its kind (one of KINDS), which of that kind, and what it was and is.

    `subject` is the destination of a mount, the container's port or the variable's name, empty for the others.
    None stands for what was not there before, or is not any more.
    """

    kind: str
    subject: str
    before: str | None
    after: str | None


def differences(old: Spec, new: Spec) -> tuple[Difference, ...]:
    """List the differences of `new` from `old`, in the order of KINDS."""
    return tuple(_found(old, new))


def variables(spec: Spec) -> dict[str, str]:
    """The environment as a mapping; of a variable that is given twice the last value counts."""
    return {name: value for name, _, value in (line.partition("=") for line in spec.env)}


def _found(old: Spec, new: Spec) -> Iterator[Difference]:
    yield from _unequal("image", "", old.image, new.image)
    yield from _unequal("gpus", "", str(old.gpu_count), str(new.gpu_count))
    yield from _entries("mount", _mounts(old), _mounts(new))
    yield from _entries("port", _ports(old), _ports(new))
    yield from _entries("env", variables(old), variables(new))
    yield from _unequal("command", "", _command(old), _command(new))


def _unequal(kind: str, subject: str, before: str | None, after: str | None) -> Iterator[Difference]:
    if before != after:
        yield Difference(kind, subject, before, after)


def _entries(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for subject in dict.fromkeys([*before, *after]):
        yield from _unequal(kind, subject, before.get(subject), after.get(subject))


def _mounts(spec: Spec) -> dict[str, str]:
    return {bind.dest: bind.src for bind in spec.binds}


def _ports(spec: Spec) -> dict[str, str]:
    hosts: dict[str, list[str]] = {}
    for port in spec.ports:
        hosts.setdefault(str(port.container), []).append(str(port.host))
    return {container: ", ".join(found) for container, found in hosts.items()}


def _command(spec: Spec) -> str | None:
    return " ".join(spec.cmd) or None

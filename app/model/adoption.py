"""Describe containers and volumes that somebody made with Docker itself, for gpudock to take in."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import InvalidRequest, NameIllegal
from app.model.container import Inspected, Spec
from app.model.messages import Text
from app.model.names import CONTAINER, Rules, check_family

ALL_GPUS = -1


@dataclass(frozen=True)
class UnmanagedContainer:
    """A container, and the spec that comes closest to it.

    `gpus` are those that it asks for by name, each by UUID or index; `gpu_count` is how many it asks for in all, or
    ALL_GPUS for every one of the host. The spec's own count is 0.
    """

    container: Inspected
    spec: Spec
    gpus: tuple[str, ...] = ()
    gpu_count: int = 0


@dataclass(frozen=True)
class UnmanagedVolume:
    """A volume as Docker describes it: who keeps its data, with which options, and whether gpudock made it."""

    name: str
    driver: str
    options: Mapping[str, str]
    managed: bool


def family_for(name: str, wanted: str | None, rules: Rules = CONTAINER) -> str:
    """The family that a container or volume called `name` becomes: `wanted`, or its own name if that is legal."""
    if wanted is not None:
        return check_family(wanted, rules)
    try:
        return check_family(name, rules)
    except InvalidRequest as exc:
        raise NameIllegal(
            Text(
                "{name} cannot be the name of a family ({why}); give it another one with --as",
                name=repr(name),
                why=exc.message,
            )
        ) from exc

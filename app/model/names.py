"""Names: a family `foo`, its versions `foo-0`, `foo-1`, …; containers and volumes are named alike."""

import re
from dataclasses import dataclass

from app.errors import (
    ContainerNameHasDash,
    ContainerNameLacksVersion,
    ContainerNameMissing,
    InvalidRequest,
    NameIllegal,
    VolumeNameBeginsWithSlash,
    VolumeNameHasDash,
    VolumeNameLacksVersion,
    VolumeNameMissing,
)
from app.model.messages import Text

# Docker's own pattern is [a-zA-Z0-9][a-zA-Z0-9_.-]+; the dash is ours.
_FAMILY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.]*", re.ASCII)
_VERSION = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
MAX_FAMILY = 128


@dataclass(frozen=True)
class Name:
    """A versioned name, or a bare family when `version` is None (which means its newest version)."""

    family: str
    version: int | None = None

    def __str__(self) -> str:
        return versioned(self.family, self.version) if self.version is not None else self.family


@dataclass(frozen=True)
class Rules:
    """Hold the refusals of names of one kind of thing, each with its own code; `field` is what callers send."""

    field: str
    missing: type[InvalidRequest]
    has_dash: type[InvalidRequest]
    lacks_version: type[InvalidRequest]
    begins_with_slash: type[InvalidRequest]


CONTAINER = Rules("containerName", ContainerNameMissing, ContainerNameHasDash, ContainerNameLacksVersion, NameIllegal)
VOLUME = Rules("name", VolumeNameMissing, VolumeNameHasDash, VolumeNameLacksVersion, VolumeNameBeginsWithSlash)


def versioned(family: str, version: int) -> str:
    """The name of one version: ("foo", 3) -> "foo-3"."""
    return f"{family}-{version}"


def check_family(family: str, rules: Rules = CONTAINER) -> str:
    """Return `family` if a container (or what `rules` are for) may be called so; one of the rules' errors otherwise."""
    if not family:
        raise rules.missing(Text("{field} is missing; give it a name", field=rules.field))
    if family.startswith("/"):
        raise rules.begins_with_slash(Text("the name begins with '/'; give a plain name, not a path"))
    if "-" in family:
        raise rules.has_dash(Text("the name contains '-', which separates name and version; use '_' or '.' instead"))
    if not _FAMILY.fullmatch(family) or len(family) > MAX_FAMILY:
        raise NameIllegal(
            Text(
                "the name must be 1 to {most} ASCII letters, digits, '_' or '.', and begin with a letter or digit",
                most=MAX_FAMILY,
            )
        )
    return family


def parse(name: str, rules: Rules = CONTAINER) -> Name:
    """Read `foo-3` or `foo`; the rules' `lacks_version` if a dash is not followed by a version number."""
    family, dash, version = name.rpartition("-")
    if not dash:
        return Name(check_family(name, rules))
    if not _VERSION.fullmatch(version):
        raise rules.lacks_version(Text("the name must end in its version, like foo-0, or be the bare family name"))
    return Name(check_family(family, rules), int(version))

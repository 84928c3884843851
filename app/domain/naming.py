"""Names: a family `foo`, its versions `foo-0`, `foo-1`, …"""

import re
from dataclasses import dataclass

from app.errors import (
    ContainerNameHasDash,
    ContainerNameLacksVersion,
    ContainerNameMissing,
    NameIllegal,
)

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


def versioned(family: str, version: int) -> str:
    """The name of one version: ("foo", 3) -> "foo-3"."""
    return f"{family}-{version}"


def check_family(family: str) -> str:
    """Return `family` if a container may be called so; ContainerNameMissing, …HasDash or NameIllegal otherwise."""
    if not family:
        raise ContainerNameMissing("containerName is missing; give the container a name")
    if "-" in family:
        raise ContainerNameHasDash("the name contains '-', which separates name and version; use '_' or '.' instead")
    if not _FAMILY.fullmatch(family) or len(family) > MAX_FAMILY:
        raise NameIllegal(
            f"the name must be 1 to {MAX_FAMILY} ASCII letters, digits, '_' or '.', and begin with a letter or digit"
        )
    return family


def parse(name: str) -> Name:
    """Read `foo-3` or `foo`; ContainerNameLacksVersion if a dash is not followed by a version number."""
    family, dash, version = name.rpartition("-")
    if not dash:
        return Name(check_family(name))
    if not _VERSION.fullmatch(version):
        raise ContainerNameLacksVersion("the name must end in its version, like foo-0, or be the bare family name")
    return Name(check_family(family), int(version))

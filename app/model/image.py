"""Local images: what is on a host, and how far the pull of another one is."""

import re
from dataclasses import dataclass

from app.model.validation import check_image

_SHORT = 12
_ID = re.compile(rf"(?:sha256:)?([0-9a-f]{{{_SHORT},64}})", re.ASCII)


@dataclass(frozen=True)
class LocalImage:
    """An image of a host: its id (`sha256:…`), the names that people gave it, its size in bytes and when it was made.

    `digests` are the names with the digests under which a registry has it. `committed` is the versioned name of the
    container that it is a commit of, `maker` the id of the operation that made it; None where it is no commit of ours.
    """

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    created: str
    committed: str | None = None
    maker: str | None = None

    @property
    def short_id(self) -> str:
        """The first digits of the id, as Docker's lists show them."""
        return self.id.removeprefix("sha256:")[:_SHORT]

    @property
    def named(self) -> bool:
        """Tell if it has any name: those without are what a pull or a build left behind."""
        return bool(self.names or self.digests)

    @property
    def title(self) -> str:
        """Name it for people: its first name, or else its short id."""
        return (*self.names, *self.digests, self.short_id)[0]

    def meant_by(self, reference: str) -> tuple[str, ...]:
        """Return what `reference`, by which Docker found the image, means: by its id all its names, or the id if it has
        none; otherwise that one name, which may be spelled in another way than it is listed. For Docker one digit may
        be an id; here it takes twelve, as many as its lists show, or a slip of the finger removes an image.
        """
        name = full_name(reference)
        listed = name in self.names or name in self.digests
        digits = _ID.fullmatch(reference)
        if not listed and digits and self.id.removeprefix("sha256:").startswith(digits[1]):
            return self.names or (self.id,)
        return (name,)


@dataclass(frozen=True)
class PullState:
    """Tell the progress of a pull: its step, and the bytes loaded of how many, as far as they are known yet."""

    step: str
    done: int
    total: int | None


def full_name(name: str) -> str:
    """`name` with the tag that Docker adds to it; raises InvalidRequest, ImageNameMissing if it is empty."""
    check_image(name)
    _, at, _ = name.partition("@")
    _, _, last = name.rpartition("/")
    return name if at or ":" in last else f"{name}:latest"

"""The writable layers of this host's containers: the upper directories of Docker's overlay2 driver.

Needs root, since layers hold other users' files, device nodes and trusted xattrs.
"""

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from app.adapters.filesystem import sync_filesystem
from app.adapters.treecopy.errors import translate_errors
from app.adapters.treecopy.files import opened, remove
from app.adapters.treecopy.measure import measure_tree
from app.adapters.treecopy.sync import Mirror
from app.model.messages import Text
from app.ports import Progress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LAYER = re.compile(r"(?P<root>(/[^/]+)+)/overlay2/[^/]+/diff")
_SET_ASIDE = re.compile(r"(/[^/]+)+/gpudock/layers/[^/]+")


class OverlayLayers:
    """Implements `ports.Layers` where Docker's data root is a local directory."""

    def begin(self, source: str, target: str, progress: Progress) -> "LayerTransfer":
        """Check both paths and touch nothing; LayerCopyFailed unless they are two layers that exist."""
        with translate_errors(Text("The files of {old} cannot be carried to {new}", old=source, new=target)):
            old, new = _existing(source, _LAYER, _SET_ASIDE), _existing(target, _LAYER)
            if old.is_relative_to(new) or new.is_relative_to(old):
                raise ValueError(Text("one is the other, or inside it"))
        return LayerTransfer(source, target, progress)

    def measure(self, path: str) -> tuple[int, int]:
        """Bytes on disk and number of files of a layer, one set aside too; LayerCopyFailed for any other path."""
        with translate_errors(Text("The size of {place} could not be found out", place=path)):
            return measure_tree(_matching(path, _LAYER, _SET_ASIDE)[0])

    def sync(self, path: str) -> None:
        """Return once everything written to the filesystem of the directory `path` is on disk."""
        failure = Text("The filesystem of {place} could not be written to disk", place=path)
        with translate_errors(failure), opened(os.open(path, _DIRECTORY)) as fd:
            sync_filesystem(fd)

    def set_aside(self, layer: str, name: str) -> str:
        """Move a layer to <docker root>/gpudock/layers/<name>, leave Docker an empty one, and return the new path.

        `name` belongs to this layer alone. May be repeated when it is unknown how far it came.
        """
        with translate_errors(Text("The layer {layer} could not be set aside", layer=layer)):
            root = _matching(layer, _LAYER)["root"]
            old, aside = Path(layer), Path(_matching(f"{root}/gpudock/layers/{name}", _SET_ASIDE)[0])
            for made in (aside.parents[1], aside.parent):
                made.mkdir(mode=0o700, exist_ok=True)
                _fsync(made.parent)
            _move(old, aside)
            # Docker looks for the directory when it removes the container.
            _make_like(old, aside)
            _fsync(aside.parent)
            _fsync(old.parent)
        return str(aside)

    def discard(self, path: str) -> None:
        """Delete a layer that was set aside; gone already is fine. LayerCopyFailed for any other path."""
        failure = Text("The layer {layer} could not be deleted", layer=path)
        with translate_errors(failure), suppress(FileNotFoundError):
            layer = Path(_matching(path, _SET_ASIDE)[0])
            with opened(os.open(layer.parent, _DIRECTORY)) as parent:
                remove(parent, layer.name)


class LayerTransfer:
    """Implements `ports.Transfer` between any two directories, given as absolute paths.

    `copy_live` may be repeated, to leave less and less for `settle` or `finish`. Each of the three counts its own
    bytes from 0 for `progress`, and after whatever that raised the target is worth nothing.
    """

    def __init__(self, source: str, target: str, progress: Progress) -> None:
        self._mirror = Mirror(source, target, progress)
        self._failure = Text("The files of {old} could not be carried to {new}", old=source, new=target)

    def copy_live(self) -> None:
        """A pass while the source is written to; Unavailable("disk") if there is no room for it."""
        with translate_errors(self._failure, self._mirror.meter):
            self._mirror.copy_live()

    def settle(self) -> None:
        """Make the target equal to the source as far as that is possible while the source is written to."""
        with translate_errors(self._failure, self._mirror.meter):
            self._mirror.settle()

    def finish(self) -> None:
        """Make the target exactly equal to the source, which nobody writes to any more."""
        with translate_errors(self._failure, self._mirror.meter):
            self._mirror.finish()


def _matching(path: str, *patterns: re.Pattern[str]) -> re.Match[str]:
    if {".", ".."}.isdisjoint(path.split("/")):
        for pattern in patterns:
            if match := pattern.fullmatch(path):
                return match
    raise ValueError(Text("{place} is no such directory", place=repr(path)))


def _existing(path: str, *patterns: re.Pattern[str]) -> Path:
    with opened(os.open(_matching(path, *patterns)[0], _DIRECTORY)):
        return Path(path).resolve()


def _move(old: Path, aside: Path) -> None:
    if not aside.exists():
        old.rename(aside)
    elif old.exists() and any(old.iterdir()):
        raise FileExistsError(errno.EEXIST, Text("{place} exists", place=str(aside)))


def _make_like(path: Path, model: Path) -> None:
    status = model.stat()
    path.mkdir(mode=0o700, exist_ok=True)
    os.chown(path, status.st_uid, status.st_gid)
    path.chmod(stat.S_IMODE(status.st_mode))


def _fsync(path: Path) -> None:
    with opened(os.open(path, _DIRECTORY)) as fd:
        os.fsync(fd)

"""Carries the writable layers of this host's containers, sets them aside and measures them.

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
from app.adapters.treecopy.transfer import TreeTransfer
from app.model.messages import Text
from app.ports import LayerLocator, Progress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SET_ASIDE = re.compile(r"(/[^/]+)+/gpudock/layers/[^/]+")


class DockerLayers:
    """Implements `ports.Layers` where Docker's data root is a local directory; `locator` knows the layers in it."""

    def __init__(self, locator: LayerLocator) -> None:
        self._locator = locator

    def locate(self, container: str) -> str:
        return self._locator.locate(container)

    def begin(self, source: str, target: str, progress: Progress) -> TreeTransfer:
        """Check both paths and touch nothing; LayerCopyFailed unless they are two layers that exist."""
        with translate_errors(Text("The files of {old} cannot be carried to {new}", old=source, new=target)):
            old, new = _existing(self._layer_or_aside(source)), _existing(self._layer(target)[0])
            if old.is_relative_to(new) or new.is_relative_to(old):
                raise ValueError(Text("one is the other, or inside it"))
        return TreeTransfer(source, target, progress)

    def measure(self, path: str) -> tuple[int, int]:
        with translate_errors(Text("The size of {place} could not be found out", place=path)):
            return measure_tree(self._layer_or_aside(path))

    def sync(self, path: str) -> None:
        failure = Text("The filesystem of {place} could not be written to disk", place=path)
        with translate_errors(failure), opened(os.open(path, _DIRECTORY)) as fd:
            sync_filesystem(fd)

    def set_aside(self, layer: str, name: str) -> str:
        """Move a layer to <docker root>/gpudock/layers/<name>, leave Docker an empty one, and return the new path.

        `name` belongs to this layer alone. May be repeated when it is unknown how far it came.
        """
        with translate_errors(Text("The layer {layer} could not be set aside", layer=layer)):
            _, root = self._layer(layer)
            old, aside = Path(layer), Path(_aside(f"{root}/gpudock/layers/{name}"))
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
        failure = Text("The layer {layer} could not be deleted", layer=path)
        with translate_errors(failure), suppress(FileNotFoundError):
            layer = Path(_aside(path))
            with opened(os.open(layer.parent, _DIRECTORY)) as parent:
                remove(parent, layer.name)

    def _layer(self, path: str) -> tuple[str, str]:
        """Check that `path` is a layer's, and return it with its driver's data root; ValueError if it is not."""
        root = self._locator.root(path) if _plain(path) else None
        if root is None:
            raise _no_such(path)
        return path, root

    def _layer_or_aside(self, path: str) -> str:
        return path if _is_aside(path) else self._layer(path)[0]


def _plain(path: str) -> bool:
    return {".", ".."}.isdisjoint(path.split("/"))


def _is_aside(path: str) -> bool:
    return _plain(path) and _SET_ASIDE.fullmatch(path) is not None


def _aside(path: str) -> str:
    if not _is_aside(path):
        raise _no_such(path)
    return path


def _no_such(path: str) -> ValueError:
    return ValueError(Text("{place} is no such directory", place=repr(path)))


def _existing(path: str) -> Path:
    with opened(os.open(path, _DIRECTORY)):
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

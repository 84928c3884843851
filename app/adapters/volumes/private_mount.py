"""Mounts that nobody else sees: whoever only looks at a filesystem leaves none behind, not even if its process dies."""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from app.adapters.volumes.errors import run

T = TypeVar("T")
# linux/sched.h
_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000
_TIMEOUT = 300.0

_libc = ctypes.CDLL(None, use_errno=True)


def isolated(work: Callable[[], T]) -> T:
    """Do `work` in a thread that has a mount namespace of its own, which is gone with the thread. Raises OSError."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_isolate, work).result()


def mount(source: Path, point: Path, options: str) -> None:
    """Mount an ext4 filesystem, within `isolated`. Raises OSError."""
    run("mount", "-n", "-t", "ext4", "-o", options, str(source), str(point), timeout=_TIMEOUT)


def unmount(point: Path) -> None:
    """Unmount it, within `isolated`. Raises OSError."""
    run("umount", "-n", str(point), timeout=_TIMEOUT)


def _isolate(work: Callable[[], T]) -> T:
    if _libc.unshare(_CLONE_FS | _CLONE_NEWNS):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    run("mount", "-n", "--make-rprivate", "/", timeout=_TIMEOUT)  # or everybody would get what is mounted here
    return work()

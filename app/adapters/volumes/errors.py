"""Runs programs of the host, and translates what fails while volumes are made and removed."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from app.adapters.filesystem import NO_SPACE
from app.errors import DomainError, Unavailable
from app.model.messages import Text

_SAID = {os.strerror(number): number for number in (*NO_SPACE, errno.EFBIG, errno.EBUSY)}
_BUSY = "target is busy"


def run(*command: str, timeout: float) -> None:
    """Run a program of the host for at most `timeout` seconds; OSError with what it said if it fails."""
    env = {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError as exc:  # is not to look like a missing volume
        raise OSError(errno.ENOPKG, Text("{program} is not installed", program=command[0])) from exc
    except subprocess.TimeoutExpired as exc:
        message = Text("{program} took longer than {limit} s", program=command[0], limit=f"{timeout:.0f}")
        raise OSError(errno.ETIMEDOUT, message) from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        number = errno.EBUSY if _BUSY in said else next((n for text, n in _SAID.items() if text in said), errno.EIO)
        why = said[-2000:].strip()
        raise OSError(
            number, Text("{program} ended with {code}: {why}", program=command[0], code=done.returncode, why=why)
        )


@contextmanager
def as_failure(failure: type[DomainError], message: Text) -> Iterator[None]:
    """Raise an OSError as `failure`, or as Unavailable("disk") for want of space; its text is for the log only."""
    try:
        yield
    except OSError as exc:
        if exc.errno in NO_SPACE:
            raise Unavailable("disk", Text("{what}: the disk of the Docker host is full", what=message)) from exc
        raise failure(
            Text("{what}; the reason is in gpudock's log under the id of the request or operation", what=message)
        ) from exc


@contextmanager
def on_disk(message: Text) -> Iterator[None]:
    """Raise an OSError as Unavailable("disk"), for what only a disk in trouble refuses."""
    try:
        yield
    except OSError as exc:
        raise Unavailable("disk", Text("{what}; see the kernel's log", what=message)) from exc

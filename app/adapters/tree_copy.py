"""Copies a whole directory tree that nobody writes to, with GNU cp."""

import errno
import os
import subprocess

_TIMEOUT = 4 * 3600.0  # seconds; only against a disk that hangs

_NO_SPACE = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT)}

# `cp -a` ignores xattrs that it cannot copy, and so brings deleted files back; asked for by name, they count.
# setpriv: a cp that outlived its killed parent would write on while another process undoes the operation.
_GUARD = ("setpriv", "--pdeathsig", "KILL")
_CP = ("cp", "-dR", "--preserve=mode,ownership,timestamps,links,xattr", "--reflink=auto", "--sparse=auto", "--")


def copy_tree(source: str, target: str) -> None:
    """Copy all that is in `source` into the empty directory `target`, and its attributes; absolute paths.

    Raises OSError; what has been copied by then is worth nothing.
    """
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    command = [*_GUARD, *_CP, f"{source}/.", f"{target}/"]
    try:
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise OSError(errno.ETIMEDOUT, f"cp took longer than {_TIMEOUT:.0f} s", source) from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        number = next((number for text, number in _NO_SPACE.items() if text in said), errno.EIO)
        raise OSError(number, f"cp ended with {done.returncode}: {said[-2000:].strip()}", source)

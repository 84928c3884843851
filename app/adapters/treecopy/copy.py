"""Copies a whole directory tree that nobody writes to, with GNU cp."""

import errno
import os
import re
import select
import stat
import subprocess
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

from app.adapters.treecopy.files import opened
from app.adapters.treecopy.measure import inodes
from app.adapters.treecopy.progress import Meter
from app.adapters.treecopy.writeback import Writeback
from app.model.messages import Text

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TIMEOUT = 4 * 3600.0  # seconds; only against a disk that hangs
_LOOK = 100  # milliseconds
_LONG = 2.0  # seconds; of a copy that takes longer, the size is worth finding out
_SLICE = 2000  # files to be measured between two looks
_KEPT = 1 << 16  # bytes of what cp said last

_NO_SPACE = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT)}
_WRITTEN = re.compile(r"^wchar: (\d+)$", re.MULTILINE)

# `cp -a` ignores xattrs that it cannot copy, and so brings deleted files back; asked for by name, they count.
# setpriv: a cp that outlived its killed parent would write on while another process undoes the operation.
_GUARD = ("setpriv", "--pdeathsig", "KILL")
_CP = ("cp", "-dR", "--preserve=mode,ownership,timestamps,links,xattr", "--reflink=auto", "--sparse=auto", "--")


def copy_tree(source: str, target: str, meter: Meter) -> None:
    """Copy all that is in `source` into the empty directory `target`, and its attributes; absolute paths.

    Raises OSError; what has been copied by then is worth nothing, and nothing of cp writes on.
    """
    with opened(os.open(target, _DIRECTORY)) as directory, Writeback(directory) as writeback:
        returncode, said = _run(source, target, meter, writeback)
        if returncode:
            number = next((number for text, number in _NO_SPACE.items() if text in said), errno.EIO)
            raise OSError(
                number, Text("cp ended with {code}: {why}", code=returncode, why=said[-2000:].strip()), source
            )


def _run(source: str, target: str, meter: Meter, writeback: Writeback) -> tuple[int, str]:
    """Run cp; what it returned and said."""
    env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    command = [*_GUARD, *_CP, f"{source}/.", f"{target}/"]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as cp:
        try:
            watch = _Watch(cp, source, meter, writeback)
            watch.run()
        finally:
            cp.kill()
    return cp.returncode, watch.said.decode(errors="replace")


class _Watch:
    """Sees a cp to its end, keeps what it says, and tells how far it is."""

    def __init__(self, cp: "subprocess.Popen[bytes]", source: str, meter: Meter, writeback: Writeback) -> None:
        assert cp.stderr is not None
        self.said = b""
        self._cp, self._stderr, self._source = cp, cp.stderr.fileno(), source
        self._meter, self._writeback = meter, writeback
        self._begun = time.monotonic()
        self._inodes, self._size, self._measured = inodes(source), 0, False
        self._poll = select.poll()
        self._poll.register(self._stderr, select.POLLIN)

    def run(self) -> None:
        """Return when cp has ended; raises OSError after the time limit, and whatever the meter raises."""
        with closing(self._inodes):
            while not self._ended():
                self._look()
        if self._cp.returncode is None:
            self._meter.reach(self._written())
            self._cp.wait()

    def _ended(self) -> bool:
        """Wait until cp says something, closes its stderr, as it does in the end, or a moment has passed."""
        if not self._poll.poll(0 if self._measuring() else _LOOK):
            return self._cp.poll() is not None
        chunk = os.read(self._stderr, _KEPT)
        self.said = (self.said + chunk)[-_KEPT:]
        return not chunk

    def _look(self) -> None:
        if time.monotonic() - self._begun > _TIMEOUT:
            raise OSError(errno.ETIMEDOUT, Text("cp took longer than {limit} s", limit=f"{_TIMEOUT:.0f}"), self._source)
        self._meter.reach(self._written())
        self._writeback.reach(self._meter.done)
        if self._measuring():
            self._measure()

    def _measuring(self) -> bool:
        return not self._measured and time.monotonic() - self._begun > _LONG

    def _measure(self) -> None:
        """Go on with finding out how much there is, but only for a moment: cp is looked after in between."""
        some = list(islice(self._inodes, _SLICE))
        self._size += sum(status.st_size for status in some if stat.S_ISREG(status.st_mode))
        if len(some) < _SLICE:
            self._measured = True
            self._meter.expect(self._size)

    def _written(self) -> int:
        """Read what cp, which setpriv became, has passed to write calls of any kind; 0 if the kernel counts none."""
        try:
            found = _WRITTEN.search(Path(f"/proc/{self._cp.pid}/io").read_text())
        except OSError:
            return 0
        return int(found[1]) if found else 0

"""The processes of a container on this host: which there are, how they take a signal, telling them."""

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from docker import APIClient
from docker.errors import APIError

PROC = Path("/proc")


class Process:
    """A process held through a pidfd, so that its number cannot mean another one by the time of a signal.

    `parent` and `session` (the session's leader; every exec begins one) are pids on the host. Raises
    ProcessLookupError if it is not, or no longer, a process of the container.
    """

    def __init__(self, pid: int, container_id: str) -> None:
        self.pid = pid
        self.fd = os.pidfd_open(pid)
        try:
            self._look(container_id)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the process."""
        os.close(self.fd)

    def tell(self, number: int) -> None:
        """Send it a signal; nothing happens if it is gone."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.fd, number)

    def reacts_to(self, number: int) -> bool:
        """Tell if the signal may end it: unless it ignores it or, as process 1, has done nothing to receive it.

        A process that blocks the signal may be waiting for it. One that sits in sigwait blocks it too, but
        the kernel lifts the mask meanwhile, so only the place where it sleeps tells.
        """
        ignored, blocked, caught = (int(self._status[f], 16) >> number - 1 & 1 for f in ("SigIgn", "SigBlk", "SigCgt"))
        if not self._is_init:
            return not ignored
        return bool(caught or blocked or self._sleeps_in.startswith("do_sigtimedwait"))

    def _look(self, container_id: str) -> None:
        if container_id not in self._read("cgroup"):
            raise ProcessLookupError(f"process {self.pid} is not of container {container_id}")
        lines = (line.partition(":") for line in self._read("status").splitlines())
        self._status = {name: value.strip() for name, _, value in lines}
        self._is_init = self._status["NSpid"].split()[-1] == "1"
        self._sleeps_in = self._read("wchan")
        self.parent = int(self._status["PPid"])
        self.session = int(self._read("stat").rpartition(")")[2].split()[3])

    def _read(self, name: str) -> str:
        try:
            return (PROC / str(self.pid) / name).read_text()
        except FileNotFoundError as exc:
            raise ProcessLookupError(f"process {self.pid} is gone") from exc


@contextmanager
def processes(client: APIClient, container_id: str) -> Iterator[list[Process]]:
    """List the processes of a container now; none if Docker runs on another host, or they may not be seen."""
    with ExitStack() as stack:
        found = []
        for pid in _pids(client, container_id):
            with suppress(ProcessLookupError, PermissionError):
                process = Process(pid, container_id)
                stack.callback(process.close)
                found.append(process)
        yield found


def wait(awaited: Iterable[Process], deadline: float) -> None:
    """Return once all are gone, or at `deadline` on the monotonic clock."""
    poll = select.poll()
    left = {process.fd for process in awaited}
    for fd in left:
        poll.register(fd, select.POLLIN)
    while left and (seconds := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(seconds * 1000):
            poll.unregister(fd)
            left.discard(fd)


def kill_session(client: APIClient, container_id: str, leader: int) -> None:
    """Kill what a command started by exec has become: the processes of its session."""
    with processes(client, container_id) as present:
        for process in present:
            if process.session == leader:
                process.tell(signal.SIGKILL)


def _pids(client: APIClient, container_id: str) -> list[int]:
    try:
        rows = client.top(container_id, "-eo pid")["Processes"]
    except APIError:  # not running any more, or the host's ps cannot do it
        return []
    return [int(row[0]) for row in rows or ()]  # null when its last process is just going

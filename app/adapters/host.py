"""The machine itself: its ports, directories and processes, as Linux tells them."""

import errno
import os
import socket
from pathlib import Path

_PROC = Path("/proc")


class LocalHost:
    """Implements `ports.Host` for the machine that gpudock runs on."""

    def port_free(self, port: int) -> bool:
        """Try to bind the TCP port at every IPv4 and IPv6 address of the host, as Docker will.

        The probe itself never listens, so it is in nobody's way.
        """
        return _can_bind(socket.AF_INET, "0.0.0.0", port) and _can_bind(socket.AF_INET6, "::", port)

    def real_directory(self, path: str) -> str:
        return os.path.realpath(path)

    def process_alive(self, token: str) -> bool:
        """Look the process up in /proc, which shows those of the same pid namespace."""
        boot, _, process = token.partition("/")
        pid, _, started = process.partition("/")
        return pid.isdecimal() and boot == _boot_id() and started == _start_time(int(pid))

    def own_token(self) -> str:
        """Write BOOT_ID/PID/START, START in clock ticks since the boot: pids come again, this does not."""
        return f"{_boot_id()}/{os.getpid()}/{_start_time(os.getpid())}"


def _can_bind(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # On Linux this passes over connections in TIME_WAIT, but never over a listener (socket(7)).
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
    except OSError as exc:
        # Any other error (IPv6 switched off, a privileged port) says nothing about who listens.
        return exc.errno != errno.EADDRINUSE
    return True


def _boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> str | None:
    """Read field 22 of /proc/PID/stat (proc(5)); None if there is no such process, or it is a zombie."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # Field 2, the command in parentheses, may itself contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]

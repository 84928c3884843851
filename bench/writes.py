"""Writes inside a volume with a filesystem of its own against the same on the filesystem that its image lies on."""

import subprocess

from bench.fixtures import PATIENT, report
from bench.volume_fixtures import make
from tests.support.dockerd import Dockerd
from tests.support.server import Server

WRITE = {
    "512 MB in one file, then fsync": "dd if=/dev/zero of=$d/big bs=1M count=512 conv=fsync 2>/dev/null",
    "300 files of 4 KB, each with fsync": (
        "i=0; while [ $i -lt 300 ]; do "
        "dd if=/dev/zero of=$d/$i bs=4k count=1 conv=fsync 2>/dev/null; i=$((i + 1)); done"
    ),
}
TIMED = "d={}; read a rest </proc/uptime; {}; read b rest </proc/uptime; rm $d/*; echo $a $b"


def measure_writes(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """Let one container write to a volume of ours and to a plain one of Docker's, by turns."""
    volume = make(server, "writes", "1GB")
    dockerd.docker("volume", "create", "plain-0")
    binds = [{"src": volume, "dest": "/ours"}, {"src": "plain-0", "dest": "/plain"}]
    server.create("writer", binds=binds, cmd=PATIENT)
    for what, script in WRITE.items():
        seconds: dict[str, list[float]] = {"/ours": [], "/plain": []}
        for n in range(rounds):
            for place in sorted(seconds, reverse=n % 2 == 0):
                subprocess.run(["sync"], check=True)
                seconds[place].append(_inside(server, TIMED.format(place, script)))
        report(f"{what}, loop volume / plain", seconds["/ours"], seconds["/plain"])


def _inside(server: Server, script: str) -> float:
    """Seconds by the kernel's clock, as the container reads it: what it costs to get there does not count."""
    begun, ended = server.sh("writer-0", script).split()
    return float(ended) - float(begun)

"""What the measurements of volumes have in common: how volumes are made, found, filled and removed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.dockerd import Dockerd
from tests.support.server import Server

ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}


@contextmanager
def nothing_left(server: Server, dockerd: Dockerd) -> Iterator[None]:
    """In the end every container and every volume is gone; the API deletes ours, since they are mounted filesystems."""
    try:
        yield
    finally:
        dockerd.remove_containers()
        for volume in server.data("GET", "/volumes")["volumes"]:
            for version in reversed(server.data("GET", f"/volumes/{volume['name']}")["versions"]):
                delete(server, version["name"])
        if foreign := dockerd.docker("volume", "ls", "-q").split():
            dockerd.docker("volume", "rm", *foreign)


def make(server: Server, family: str, size: str) -> str:
    """Create a volume and return its name."""
    return str(server.data("POST", "/volumes", {"name": family, "size": size})["name"])


def delete(server: Server, name: str) -> None:
    """Delete a version of a volume with its record; of the newest version the family's."""
    server.data("DELETE", f"/volumes/{name}", ERASE)


def data_of(dockerd: Dockerd, volume: str) -> Path:
    """The directory of this host that a container sees as the volume."""
    seen = json.loads(dockerd.docker("volume", "inspect", volume))[0]
    return Path((seen["Options"] or {}).get("device") or seen["Mountpoint"])


def fill_with_one(directory: Path) -> None:
    """Write a file of 1 GB that nothing can compress."""
    with Path("/dev/urandom").open("rb") as source, (directory / "big").open("wb") as target:
        for _ in range(1024):
            target.write(source.read(1 << 20))


def fill_with_many(directory: Path) -> None:
    """Write 50,000 files of a few bytes in 200 directories."""
    for n in range(50_000):
        below = directory / "many" / str(n % 200)
        if n < 200:
            below.mkdir(parents=True)
        (below / str(n)).write_text(f"{n}\n")


FILL: dict[str, Callable[[Path], None]] = {"1 GB in one file": fill_with_one, "50,000 small files": fill_with_many}

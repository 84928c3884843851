"""What must hold of etcd, Docker and the disk whenever nothing is under way, however it came to that."""

import hashlib
import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import NotFound

from app.adapters.etcd import EtcdStore
from tests.support.dockerd import Dockerd
from tests.support.volumes import home, mounted

NODE, FAMILY, VERSION, OPERATION = "gpudock.node", "gpudock.family", "gpudock.version", "gpudock.operation"
HELD, COMMIT = "gpudock-held:", "gpudock.commit-operation"
_ANONYMOUS = re.compile("[0-9a-f]{64}")
# The kernel's note of the file in the image that was copied up.
_ORIGIN = "trusted.overlay.origin"
Json = dict[str, Any]
Tree = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Estate:
    """Everything that there is, of gpudock and of others, as read at one moment.

    `containers` and `volumes` are Docker's inspects by name, `entries` etcd's values by key, `images` Docker's list.
    `layers`, `volume_homes` and `mounts` are what is on the disk.
    """

    entries: Mapping[str, Json]
    containers: Mapping[str, Json]
    volumes: Mapping[str, Json]
    images: Sequence[Json]
    layers: frozenset[str]
    volume_homes: frozenset[str]
    mounts: frozenset[str]

    def below(self, prefix: str) -> dict[str, Json]:
        """The entries under a prefix, without it."""
        return {key.removeprefix(prefix): value for key, value in self.entries.items() if key.startswith(prefix)}

    @property
    def tags(self) -> set[str]:
        """The names of all images."""
        return {tag for image in self.images for tag in image["RepoTags"] or ()}

    def families(self, resource: str) -> dict[str, Json]:
        """The records of families of "containers" or "volumes", by name."""
        return {name: value for name, value in self.below(f"/{resource}/").items() if "/" not in name}

    def versions(self, resource: str) -> dict[str, Json]:
        """The records of versions, by versioned name."""
        found = {name: value for name, value in self.below(f"/{resource}/").items() if "/versions/" in name}
        return {name.replace("/versions/", "-"): value for name, value in found.items()}

    def ours(self, things: Mapping[str, Json]) -> dict[str, Json]:
        """Those containers or volumes that carry our label."""
        return {name: raw for name, raw in things.items() if NODE in labels(raw)}


def look(dockerd: Dockerd, store: EtcdStore, family: str | None = None) -> Estate:
    """Read everything; of Docker's containers only those of one family, if it is given."""
    entries = {entry.key: entry.value for entry in store.list("/")}
    client = APIClient(base_url=dockerd.url, version="1.41", timeout=20)
    try:
        filters = {"label": f"{FAMILY}={family}"} if family else {}
        listed = client.containers(all=True, filters=filters)
        inspected = [raw for each in listed if (raw := _inspect(client, each["Id"]))]
        volumes = client.volumes()["Volumes"] or []
        images = client.images()
    finally:
        client.close()
    return Estate(
        entries=entries,
        containers={raw["Name"].removeprefix("/"): raw for raw in inspected},
        volumes={raw["Name"]: raw for raw in volumes},
        images=images,
        layers=_names(dockerd.data / "gpudock/layers"),
        volume_homes=_names(home(dockerd)),
        mounts=frozenset(str(point) for point in mounted(dockerd)),
    )


def labels(raw: Json) -> dict[str, str]:
    """The labels of an inspected container or volume."""
    found: dict[str, str] = (raw["Config"]["Labels"] if "Config" in raw else raw["Labels"]) or {}
    return found


def gpus(container: Json) -> list[str]:
    """The UUIDs that Docker was asked for."""
    return [uuid for request in container["HostConfig"]["DeviceRequests"] or () for uuid in request["DeviceIDs"]]


def violations(estate: Estate, left: frozenset[str] = frozenset()) -> list[str]:
    """One sentence for each thing that must not be, nothing being under way; `left` names what nobody recorded
    because its family was erased: older versions are their owner's then.
    """
    return [
        *(f"an operation is left: {key}" for key in estate.below("/operations/")),
        *(f"a cancellation is left: {key}" for key in estate.below("/cancellations/")),
        *_claims(estate),
        *_running(estate),
        *_families(estate),
        *_unknown(estate, left),
        *_places(estate),
        *_images(estate),
    ]


def fingerprint(path: Path) -> Tree:
    """Names, types, modes, owners, extended attributes, contents and times of change of all files in a directory."""
    return {str(found.relative_to(path)): _print(found) for found in sorted(path.rglob("*"))}


def files(estate: Estate, name: str) -> Tree | None:
    """The files that a version of a container wrote: in its layer, or where that was set aside; None without any."""
    record = estate.versions("containers").get(name, {})
    layer = record.get("layer") or upper(estate.containers.get(name))
    return fingerprint(Path(layer)) if layer else None


def upper(container: Json | None) -> str | None:
    """The writable layer of an inspected container."""
    return str(container["GraphDriver"]["Data"]["UpperDir"]) if container else None


def data_of(estate: Estate, volume: str) -> Path | None:
    """The directory that containers see as a volume; None if Docker has none of that name."""
    raw = estate.volumes.get(volume)
    return Path((raw["Options"] or {}).get("device") or raw["Mountpoint"]) if raw else None


def _inspect(client: APIClient, identity: str) -> Json | None:
    try:
        found: Json = client.inspect_container(identity)
    except NotFound:
        return None
    return found


def _names(path: Path) -> frozenset[str]:
    return frozenset(found.name for found in path.iterdir()) if path.exists() else frozenset()


def _print(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    names = set(os.listxattr(path, follow_symlinks=False)) - {_ORIGIN}
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)}
    plain = stat.S_ISREG(status.st_mode)
    content = hashlib.sha256(path.read_bytes()).hexdigest() if plain else status.st_rdev
    moment = status.st_mtime_ns if plain else None
    return oct(status.st_mode), status.st_uid, status.st_gid, content, moment, json.dumps(xattrs, default=bytes.hex)


def _claims(estate: Estate) -> Iterator[str]:
    families, versions = estate.families("containers"), estate.versions("containers")
    for kind in ("gpus", "ports"):
        for key, holder in estate.below(f"/{kind}/").items():
            name, what = holder["family"], f"{kind[:-1]} {key}"
            if name not in families:
                yield f"{what} is claimed by {name}, which is not on record"
                continue
            current = versions[f"{name}-{families[name]['current']}"]
            if holder["container_id"] != current["container_id"] or holder["version"] != current["version"]:
                yield f"{what} is claimed for {name}-{holder['version']}, current is {name}-{current['version']}"
            if kind == "gpus" and families[name]["desired"] != "running":
                yield f"{what} is claimed by {name}, which shall be {families[name]['desired']}"
            if kind == "gpus" and key.rpartition("/")[2] not in current["gpus"]:
                yield f"{what} is claimed by {name}, whose record does not name it"


def _running(estate: Estate) -> Iterator[str]:
    """Running containers have just the GPUs that are claimed for them, and no two the same one."""
    claims = {key.rpartition("/")[2]: holder for key, holder in estate.below("/gpus/").items()}
    held: Counter[str] = Counter()
    for name, container in estate.ours(estate.containers).items():
        if container["State"]["Running"]:
            held.update(gpus(container))
            claimed = {uuid for uuid, holder in claims.items() if holder["container_id"] == container["Id"]}
            if claimed != set(gpus(container)):
                yield f"{name} runs with GPUs {gpus(container)}, claimed for it are {sorted(claimed)}"
    yield from (f"GPU {uuid} is given to {count} running containers" for uuid, count in held.items() if count > 1)


def _families(estate: Estate) -> Iterator[str]:
    """The newest version is there and is what it should be; older ones do not run."""
    for name, record in estate.families("containers").items():
        current = estate.versions("containers").get(f"{name}-{record['current']}")
        if current is None:
            yield f"the newest version of {name} is not on record"
            continue
        container = estate.containers.get(f"{name}-{record['current']}")
        if container is not None and container["Id"] != current["container_id"]:
            yield f"{name}-{record['current']} in Docker is not the one on record"
        state = container["State"]["Status"] if container else "removed"
        if state != {"stopped": "exited"}.get(record["desired"], record["desired"]):
            yield f"{name}-{record['current']} is {state} and should be {record['desired']}"
    for name, container in estate.ours(estate.containers).items():
        record = estate.families("containers").get(labels(container).get(FAMILY, ""), {})
        if container["State"]["Running"] and name != f"{record.get('family')}-{record.get('current')}":
            yield f"{name} runs and is not the newest version"
    for name, record in estate.families("volumes").items():
        newest = estate.versions("volumes").get(f"{name}-{record['current']}")
        if newest is None:
            yield f"the newest version of volume {name} is not on record"
        elif not newest["removed"] and f"{name}-{record['current']}" not in estate.volumes:
            yield f"{name}-{record['current']} is gone from Docker"


def _unknown(estate: Estate, left: frozenset[str]) -> Iterator[str]:
    """Nothing of ours is in Docker that no record knows."""
    recorded = {record["container_id"] for record in estate.versions("containers").values()}
    for name, container in estate.ours(estate.containers).items():
        if container["Id"] not in recorded and name not in left:
            yield f"nobody knows the container {name}, made by {labels(container).get(OPERATION)}"
    versions = estate.versions("volumes")
    for name in estate.ours(estate.volumes).keys() - left:
        if name not in versions or versions[name]["removed"]:
            yield f"nobody knows the volume {name}"
    named = {volume for record in estate.versions("containers").values() for volume in record["anonymous"].values()}
    mounts = {mount.get("Name") for container in estate.containers.values() for mount in container["Mounts"]}
    for name in filter(_ANONYMOUS.fullmatch, estate.volumes.keys() - named - mounts):
        yield f"nobody knows the anonymous volume {name}"


def _set_aside(estate: Estate, resource: str, place: str) -> Iterator[tuple[str, str]]:
    """The versions of which something is set aside, each with the name of the directory that has it."""
    for name, record in estate.versions(resource).items():
        if record[place]:
            yield name, Path(record[place]).name


def _places(estate: Estate) -> Iterator[str]:
    """Nothing of ours is on the disk that no record and no volume names, and what they name is there. Of an older
    version nothing is set aside: the next one has it all.
    """
    layers, aside = dict(_set_aside(estate, "containers", "layer")), dict(_set_aside(estate, "volumes", "aside"))
    named = {f"{name}.{labels(raw)[OPERATION]}" for name, raw in estate.ours(estate.volumes).items()}
    yield from (f"nobody knows the layer {name}" for name in estate.layers - {*layers.values()})
    yield from (f"the layer {name} is gone" for name in {*layers.values()} - estate.layers)
    homes = estate.volume_homes - {*aside.values()} - named
    yield from (f"nobody knows the volume's directory {name}" for name in homes)
    yield from (f"the data set aside in {name} is gone" for name in {*aside.values()} - estate.volume_homes)
    for resource, kept in (("containers", layers), ("volumes", aside)):
        newest = {f"{name}-{record['current']}" for name, record in estate.families(resource).items()}
        yield from (f"something is set aside of {name}, which is not the newest" for name in kept.keys() - newest)
    for point in estate.mounts:
        if Path(point).parent.name not in {*named, *aside.values()}:
            yield f"{point} is mounted, and no volume needs that"


def _images(estate: Estate) -> Iterator[str]:
    """What a record needs is held, nothing else is, and of a commit that was undone there is no image."""
    held = {tag.removeprefix(HELD) for tag in estate.tags if tag.startswith(HELD)}
    needed = {_held_tag(record["image_id"]) for record in estate.versions("containers").values()}
    used = {_held_tag(container["Image"]) for container in estate.containers.values()}
    yield from (f"the image {tag} is not held" for tag in needed - held)
    yield from (f"the image {tag} is held, and nobody needs it" for tag in held - needed - used)
    made = {(image["Labels"] or {}).get(COMMIT) for image in estate.images}
    ended = estate.below("/history/").values()
    undone = {record["id"] for record in ended if record["kind"] == "commit" and record["outcome"] == "undone"}
    yield from (f"there is an image of the commit {operation}, which was undone" for operation in made & undone)


def _held_tag(image_id: str) -> str:
    return str(image_id).removeprefix("sha256:")[:32]

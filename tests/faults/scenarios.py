"""The changes that are killed at every point: what they begin with, the call, and what proves that no data was lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.lab import ERASE, KEEP, Call, Lab, fill, furnish
from tests.support import images, invariants
from tests.support.invariants import Estate


@dataclass(frozen=True)
class Names:
    """The families of containers and volumes that one trial has to itself."""

    container: str
    volume: str

    @property
    def image(self) -> str:
        """The image that a commit of the container makes."""
        return f"image-{self.container}:latest"

    @property
    def bind(self) -> dict[str, str]:
        """The first version of the volume in its place."""
        return self.bind_of(0)

    def bind_of(self, version: int) -> dict[str, str]:
        """A version of the volume in its place."""
        return {"src": f"{self.volume}-{version}", "dest": "/volume"}

    def change(self, what: str, body: Any = None) -> Call:
        """A call that changes the container."""
        return "PATCH", f"/containers/{self.container}/{what}", body


@dataclass(frozen=True)
class Scenario:
    """`prepare` makes what `change` is going to change. `proof` shows afterwards that the data is still there.

    Scenarios that are `like` each other go the same way through the code. A change that was killed may leave some parts
    of the portrait other than they were before, which are `undone`.
    """

    prepare: Callable[[Lab, Names], None]
    change: Callable[[Names], Call]
    like: str
    proof: Callable[[Names], Call] | None = None
    undone: Sequence[str] = ()


Portrait = Mapping[str, Any]


def portrait(estate: Estate, names: Names) -> Portrait:
    """All that can be seen of the two families, but for names, ids and times: equal for equal histories."""
    containers, volumes = estate.families("containers"), estate.families("volumes")
    versions = _of(estate.versions("containers"), names.container)
    made, kept = _of(estate.versions("volumes"), names.volume), _of(estate.volumes, names.volume)
    claims = {kind: estate.below(f"/{kind}/").values() for kind in ("gpus", "ports")}
    record, volume = containers.get(names.container), volumes.get(names.volume)
    return {
        "family": record and (record["current"], record["desired"]),
        "versions": {
            n: (raw["why"], raw["parent"], bool(raw["removed"]), len(raw["gpus"])) for n, raw in versions.items()
        },
        "docker": {n: raw["State"]["Status"] for n, raw in _of(estate.containers, names.container).items()},
        "claims": {kind: sum(h["family"] == names.container for h in held) for kind, held in claims.items()},
        "files": {n: invariants.files(estate, f"{names.container}-{n}") for n in versions},
        "layers": sum(name.startswith(f"{names.container}-") for name in estate.layers),
        "mounts": {n: _mounts(raw) for n, raw in _of(estate.containers, names.container).items()},
        "image": names.image in estate.tags,
        "volume": volume and volume["current"],
        "volume versions": {
            n: (raw["why"], raw["parent"], raw["size"], bool(raw["removed"]), bool(raw["merging"]))
            for n, raw in made.items()
        },
        "volumes": sorted(kept),
        "data": {n: _data(estate, f"{names.volume}-{n}") for n in kept},
        "homes": sorted(
            home.partition(".")[0][len(names.volume) :]
            for home in estate.volume_homes
            if home.startswith(f"{names.volume}-")
        ),
    }


def _of(things: Mapping[str, Any], family: str) -> dict[str, Any]:
    """The versions of one family, by number."""
    return {name.rpartition("-")[2]: raw for name, raw in things.items() if name.rpartition("-")[0] == family}


def _mounts(container: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Which version of a volume is mounted where; an anonymous one has no version."""
    return [(mount["Name"].partition("-")[2], mount["Destination"]) for mount in container["Mounts"]]


def _data(estate: Estate, volume: str) -> Any:
    path = invariants.data_of(estate, volume)
    return invariants.fingerprint(path) if path else None


def clean(lab: Lab, names: Names) -> None:
    """Remove both families and what is left of them, as a caller would."""
    estate = lab.look(names.container)
    versions = {*_of(estate.containers, names.container), *_of(estate.versions("containers"), names.container)}
    for version in sorted(versions, key=int):
        lab.server.call("DELETE", f"/containers/{names.container}-{version}", ERASE)
    versions = {*_of(estate.volumes, names.volume), *_of(estate.versions("volumes"), names.volume)}
    for version in sorted(versions, key=int):
        lab.server.call("DELETE", f"/volumes/{names.volume}-{version}", ERASE)
    if names.image in estate.tags:
        lab.dockerd.docker("rmi", names.image)


# --- what the changes begin with ---------------------------------------------------------------------------------


def nothing(lab: Lab, names: Names) -> None:
    pass


def container(lab: Lab, names: Names, **fields: Any) -> None:
    lab.server.create(names.container, **fields)
    lab.furnish(f"{names.container}-0", "first")


def volume(lab: Lab, names: Names) -> None:
    lab.must("POST", "/volumes", {"name": names.volume, "size": "8MB"})
    furnish(lab.volume(f"{names.volume}-0"), "in the volume")


def with_gpus(lab: Lab, names: Names) -> None:
    container(lab, names, gpuCount=2)


def with_volume(lab: Lab, names: Names) -> None:
    volume(lab, names)
    container(lab, names, gpuCount=1, binds=[names.bind])


def resized_under_it(lab: Lab, names: Names) -> None:
    with_volume(lab, names)
    lab.must("PATCH", f"/volumes/{names.volume}/size", {"size": "9MB"})
    furnish(lab.volume(f"{names.volume}-0"), "written since the resize")


def changed_once(lab: Lab, names: Names) -> None:
    with_gpus(lab, names)
    lab.must(*names.change("gpu", {"gpuCount": 1}))
    lab.furnish(f"{names.container}-1", "second")


def volume_resized_once(lab: Lab, names: Names) -> None:
    volume(lab, names)
    lab.must("PATCH", f"/volumes/{names.volume}/size", {"size": "9MB"})
    furnish(lab.volume(f"{names.volume}-1"), "changed since")


def stopped(lab: Lab, names: Names) -> None:
    with_gpus(lab, names)
    lab.must(*names.change("stop"))


def deleted(lab: Lab, names: Names) -> None:
    with_gpus(lab, names)
    lab.must("DELETE", f"/containers/{names.container}", KEEP)


def volume_deleted(lab: Lab, names: Names) -> None:
    volume(lab, names)
    lab.must("DELETE", f"/volumes/{names.volume}", KEEP)


def with_all_its_own(lab: Lab, names: Names) -> None:
    """An image that nobody else needs, and an anonymous volume."""
    lab.import_image(f"image:{names.container}", "VOLUME /data")
    lab.must("POST", "/containers", {"imageName": f"image:{names.container}", "containerName": names.container})
    lab.furnish(f"{names.container}-0", "first")


def create_call(names: Names) -> Call:
    body = {
        "imageName": images.IMAGE,
        "containerName": names.container,
        "gpuCount": 2,
        "ports": [{"containerPort": 80}],
    }
    return "POST", "/containers", {**body, "binds": [names.bind]}


def exchange(names: Names) -> Call:
    return names.change("volume", {"type": "volume", "oldBind": names.bind, "newBind": names.bind_of(1)})


def large(lab: Lab, names: Names) -> None:
    """Some 100 MB in the layer, of which only a part is copied when the kill comes."""
    with_gpus(lab, names)
    fill(lab.root(f"{names.container}-0") / "root/large", 100)


def large_volume(lab: Lab, names: Names) -> None:
    lab.must("POST", "/volumes", {"name": names.volume, "size": "150MB"})
    fill(lab.volume(f"{names.volume}-0") / "large", 100)


def _resize(size: str) -> Callable[[Names], Call]:
    return lambda names: ("PATCH", f"/volumes/{names.volume}/size", {"size": size})


SCENARIOS = {
    "create": Scenario(volume, create_call, "create"),
    "more GPUs": Scenario(with_gpus, lambda n: n.change("gpu", {"gpuCount": 4}), "change"),
    "fewer GPUs": Scenario(with_gpus, lambda n: n.change("gpu", {"gpuCount": 1}), "change"),
    "another volume, merged": Scenario(resized_under_it, exchange, "change", undone=("/data/1/", "/volume versions/1")),
    "container rollback": Scenario(changed_once, lambda n: n.change("rollback", {"version": 0}), "change"),
    "restart of a stopped one": Scenario(stopped, lambda n: n.change("restart"), "change"),
    "restart of a deleted one": Scenario(deleted, lambda n: n.change("restart"), "change"),
    "restart in place": Scenario(with_gpus, lambda n: n.change("restart"), "restart"),
    "resize": Scenario(volume, _resize("9MB"), "resize"),
    "resize of a deleted one": Scenario(volume_deleted, _resize("9MB"), "resize"),
    "volume rollback": Scenario(
        volume_resized_once, lambda n: ("PATCH", f"/volumes/{n.volume}/rollback", {"version": 0}), "resize"
    ),
    "volume create": Scenario(nothing, lambda n: ("POST", "/volumes", {"name": n.volume, "size": "8MB"}), "resize"),
    "stop": Scenario(with_gpus, lambda n: n.change("stop"), "stop"),
    "delete": Scenario(with_all_its_own, lambda n: ("DELETE", f"/containers/{n.container}", ERASE), "delete"),
    "delete, record kept": Scenario(
        with_gpus, lambda n: ("DELETE", f"/containers/{n.container}", KEEP), "delete", lambda n: n.change("restart")
    ),
    "volume delete": Scenario(volume, lambda n: ("DELETE", f"/volumes/{n.volume}", ERASE), "volume delete"),
    "volume delete, record kept": Scenario(
        volume, lambda n: ("DELETE", f"/volumes/{n.volume}", KEEP), "volume delete", _resize("9MB")
    ),
    "commit": Scenario(
        with_gpus,
        lambda n: ("POST", f"/containers/{n.container}/commit", {"newImageName": n.image}),
        "commit",
    ),
}
COPIES = {
    "in a layer of 100 MB": Scenario(large, lambda n: n.change("gpu", {"gpuCount": 4}), "change"),
    "in a volume of 100 MB": Scenario(large_volume, _resize("160MB"), "resize"),
}

"""A stand-in for docker-py's client: volumes and containers as Docker would describe them, in dicts."""

from pathlib import Path
from typing import Any

import requests
from docker.errors import NotFound

from tests.support.dockerd import NODE


class FakeApi:
    """`volumes_` and `containers_` are by name what Docker's inspect shows; `asked` counts the calls of `info`."""

    def __init__(self, root: Path, storage_driver: str = "overlay2") -> None:
        self.root, self.storage_driver, self.asked = root, storage_driver, 0
        self.volumes_: dict[str, dict[str, Any]] = {}
        self.containers_: dict[str, dict[str, Any]] = {}

    def quick(self) -> "FakeApi":
        return self

    def patient(self, seconds: int) -> "FakeApi":
        return self

    def add_volume(self, name: str, driver: str) -> Path:
        """A volume that gpudock made with that driver; returns Docker's directory for it, which is there."""
        family, _, version = name.rpartition("-")
        labels = {"node": NODE, "family": family, "version": version, "operation": "op0", "way": driver, "size": "8"}
        mountpoint = self.root / "volumes" / name / "_data"
        mountpoint.mkdir(parents=True)
        named = {f"gpudock.{label}": value for label, value in labels.items()}
        self.volumes_[name] = {"Name": name, "Mountpoint": str(mountpoint), "Labels": named}
        return mountpoint

    def info(self) -> dict[str, Any]:
        self.asked += 1
        return {"DockerRootDir": str(self.root), "Driver": self.storage_driver}

    def inspect_volume(self, name: str) -> dict[str, Any]:
        return _existing(self.volumes_, name)

    def volumes(self, filters: object = None) -> dict[str, Any]:
        return {"Volumes": list(self.volumes_.values())}

    def remove_volume(self, name: str) -> None:
        del self.volumes_[name]

    def inspect_container(self, ref: str) -> dict[str, Any]:
        return _existing(self.containers_, ref)

    def containers(self, **_: object) -> list[dict[str, Any]]:
        return []


def _existing(known: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name in known:
        return known[name]
    response = requests.Response()
    response.status_code = 404
    raise NotFound("no such thing", response=response)

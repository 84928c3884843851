"""Asks Docker about volumes: their labels and who has them, and has it make and remove them."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from app.adapters.docker import labels as label_names
from app.adapters.docker.client import Clients
from app.adapters.docker.errors import answered, translate_errors
from app.errors import VolumeCreateFailed, VolumeDeleteFailed, VolumeExists, VolumeInUse
from app.model.messages import Text
from app.model.volume import VolumePlan
from app.ports import VolumeDetails

# Seconds for what Docker does not do at once; the removal of a volume deletes any number of files.
_MAKE, _REMOVE = 60, 900
_EMPTY = "gpudock-empty"
_END_OF_TAR = bytes(10240)
_NAME = re.compile(r"[a-zA-Z0-9][\w.-]*", re.ASCII)
_RUNNING = ("running", "paused", "restarting")


class VolumeDocker:
    """Speaks with Docker about the volumes of one node."""

    def __init__(self, clients: Clients, node: str) -> None:
        self._clients = clients
        self._node = node
        self._root: Path | None = None

    def root(self) -> Path:
        """Find Docker's root directory, without symlinks."""
        if self._root is None:
            with translate_errors():
                self._root = Path(self._clients.quick().info()["DockerRootDir"]).resolve()
        return self._root

    def inspect(self, name: str) -> VolumeDetails | None:
        """Look at the volume; None if there is none."""
        if not _NAME.fullmatch(name):
            return None
        with translate_errors():
            try:
                return _details(self._clients.quick().inspect_volume(name))
            except NotFound:
                return None

    def list(self, family: str | None = None, operation: str | None = None) -> list[VolumeDetails]:
        """List this node's volumes that gpudock made, of one family or one operation."""
        wanted = label_names.wanted(self._node, family, operation)
        with translate_errors():
            raw = self._clients.quick().volumes(filters={"label": wanted})["Volumes"] or []
        return [details for details in map(_details, raw) if details.labels]

    def create(self, plan: VolumePlan, driver: str, options: Mapping[str, str]) -> VolumeDetails:
        """Create the volume; VolumeExists if somebody else was quicker, since Docker then hands out theirs."""
        labels = label_names.write_volume(plan.labels, driver, plan.size.bytes)
        with translate_errors(VolumeCreateFailed):
            try:
                client = self._clients.patient(_MAKE)
                details = _details(client.create_volume(plan.name, "local", dict(options), labels))
            except APIError as exc:
                if exc.status_code == 409:  # of another driver
                    raise taken(plan.name) from exc
                raise
        if details.operation != plan.labels.operation:
            raise taken(plan.name)
        return details

    def remove(self, name: str) -> bool:
        """Remove the volume; False if a container has it, running or not. Gone already is fine."""
        with translate_errors(VolumeDeleteFailed):
            try:
                self._clients.patient(_REMOVE).remove_volume(name)
            except NotFound:
                return True
            except APIError as exc:
                if exc.status_code != 409:
                    raise
                return False
        return True

    def refuse_used(self, name: str, stopped: bool) -> None:
        """Raise VolumeInUse if a running container has the volume; with `stopped`, if any container has it."""
        with translate_errors():
            raw = self._clients.quick().containers(all=True, filters={"volume": name})
        users = [_name(one) for one in raw if stopped or one["State"] in _RUNNING]
        if users:
            raise VolumeInUse(
                Text("the volume {name} is in use by {users}", name=name, users=", ".join(users)), containers=users
            )

    def mount_once(self, name: str, operation: str) -> None:
        """Let Docker mount the volume for a moment, which it does to look into a container, started or not."""
        with translate_errors(VolumeCreateFailed):
            client = self._clients.patient(_MAKE)
            labels = label_names.helper(self._node, operation)
            marks = [f"LABEL {label}={value}" for label, value in labels.items()]
            client.import_image_from_data(_END_OF_TAR, repository=_EMPTY, tag=operation, changes=marks)
            made = client.create_container(
                f"{_EMPTY}:{operation}",
                ["never started"],
                host_config=client.create_host_config(binds=[f"{name}:/volume"], network_mode="none"),
                labels=labels,
            )
            url = f"{client.base_url}/v{client.api_version}/containers/{made['Id']}/archive"
            answered(client.head(url, params={"path": "/volume"}, timeout=_MAKE))
        self.sweep(operation)

    def sweep(self, operation: str) -> None:
        """Remove what `mount_once` may have left of an operation."""
        wanted = [f"{label}={value}" for label, value in label_names.helper(self._node, operation).items()]
        with translate_errors(VolumeDeleteFailed):
            client = self._clients.patient(_MAKE)
            for container in client.containers(all=True, filters={"label": wanted}):
                client.remove_container(container["Id"], force=True)
            # By its labels: a process that died may have left one whose name went to its successor's.
            for image in client.images(filters={"label": wanted}, all=True):
                with suppress(NotFound):
                    client.remove_image(image["Id"], force=True)


def taken(name: str) -> VolumeExists:
    """Make the refusal of a name that Docker has already."""
    return VolumeExists(Text("Docker has a volume {name} already; remove that one or choose another name", name=name))


def _details(raw: Mapping[str, Any]) -> VolumeDetails:
    labels, made = label_names.read(raw["Labels"]), label_names.read_volume(raw["Labels"])
    mountpoint = Path(raw["Mountpoint"])
    if labels is None or made is None:
        return VolumeDetails(raw["Name"], mountpoint, None, None, None)
    return VolumeDetails(raw["Name"], mountpoint, labels, *made)


def _name(container: Mapping[str, Any]) -> str:
    names = container["Names"] or [container["Id"][:12]]
    return str(names[0]).removeprefix("/")

"""The containers of this host's Docker, through docker-py."""

import re
import time
from collections.abc import Sequence

from docker import APIClient
from docker.errors import APIError, NotFound

from app.adapters.docker import create_body, labels, parse, stop, unmanaged
from app.adapters.docker.client import Clients
from app.adapters.docker.errors import create_error, start_error, translate_errors
from app.errors import DeleteFailed, ImageNotFound, StartFailed, StopFailed, Unavailable
from app.model.adoption import UnmanagedContainer
from app.model.container import ContainerPlan, Inspected, Mount, Observed
from app.model.messages import Text

# How long, in seconds, Docker may take for what it does not do at once: a create copies what the image has
# at its VOLUMEs, a removal deletes a layer of any size.
_CREATE, _START, _REMOVE = 120, 120, 120
_REF = re.compile(r"[a-zA-Z0-9][\w.-]*", re.ASCII)


class DockerContainers:
    """Implements `ports.Containers` for the engine that `clients` speak to; it need not be up yet.

    `gpu_request` says how GPUs are asked for: "nvidia" or "cdi", or "none" to note them in a label only.
    A stop waits `stop_timeout` seconds at most for the processes of a container to end by themselves.
    """

    def __init__(self, clients: Clients, node: str, gpu_request: str, stop_timeout: float) -> None:
        self._clients = clients
        self._node = node
        self._gpu_request = gpu_request
        self._stop_timeout = stop_timeout

    def ping(self) -> str:
        with translate_errors():
            return str(self._clients.quick().version()["Version"])

    def inspect(self, ref: str) -> Inspected | None:
        with translate_errors():
            try:
                return parse.inspected(self._clients.quick().inspect_container(ref))
            except NotFound:
                return None

    def describe(self, ref: str) -> UnmanagedContainer | None:
        if not _REF.fullmatch(ref):
            return None
        with translate_errors(missing=ImageNotFound):
            client = self._clients.quick()
            try:
                raw = client.inspect_container(ref)
            except NotFound:
                return None
            image = client.inspect_image(raw["Image"])  # type: ignore[no-untyped-call]
            return unmanaged.described(raw, image["Config"])

    def differences(self, old: str, new: str) -> Sequence[str]:
        with translate_errors():
            client = self._clients.quick()
            return unmanaged.differences(client.inspect_container(old), client.inspect_container(new))

    def mounts(self) -> dict[str, list[Mount]]:
        with translate_errors():
            return parse.mounts(self._clients.quick().containers(all=True))

    def list(self, family: str | None = None, operation: str | None = None) -> list[Observed]:
        wanted = labels.wanted(self._node, family, operation)
        with translate_errors():
            raw = self._clients.quick().containers(all=True, filters={"label": wanted})
        return [observed for observed in map(parse.listed, raw) if observed.labels]

    def create(self, plan: ContainerPlan) -> str:
        with translate_errors():
            client = self._clients.patient(_CREATE)
        try:
            with translate_errors():
                return self._create(client, plan)
        except Unavailable:
            # The answer did not come, but the container may have.
            if made := self._made_by(plan):
                return made
            raise

    def start(self, ref: str) -> None:
        with translate_errors(StartFailed):
            try:
                self._clients.patient(_START).start(ref)
            except APIError as exc:
                raise start_error(exc) from exc

    def stop(self, ref: str) -> None:
        with translate_errors(StopFailed):
            stop.stop(self._clients.quick(), self._clients.patient(stop.GONE_WITHIN), ref, self._stop_timeout)

    def remove(self, ref: str) -> None:
        with translate_errors(DeleteFailed):
            try:
                self._clients.patient(_REMOVE).remove_container(ref, force=True, v=False)
            except NotFound:
                return
            except APIError as exc:
                if exc.status_code != 409:
                    raise
                self._wait_until_gone(ref)  # somebody else is removing it

    def _create(self, client: APIClient, plan: ContainerPlan) -> str:
        try:
            body = create_body.body(plan, self._gpu_request)
            made = client.create_container_from_config(body, plan.name)  # type: ignore[no-untyped-call]
            return str(made["Id"])
        except APIError as exc:
            if exc.status_code == 409 and (earlier := self._made_by(plan)):
                return earlier
            if refusal := create_error(exc, plan):
                raise refusal from exc
            raise

    def _made_by(self, plan: ContainerPlan) -> str | None:
        ours = self.list(plan.labels.family, plan.labels.operation)
        return next((made.id for made in ours if made.name == plan.name), None)

    def _wait_until_gone(self, ref: str) -> None:
        deadline = time.monotonic() + _REMOVE
        while self.inspect(ref):
            if time.monotonic() > deadline:
                raise DeleteFailed(Text("Docker does not get done with removing the container"))
            time.sleep(0.05)

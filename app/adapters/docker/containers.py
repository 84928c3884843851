"""The Docker engine of this host, through docker-py."""

import re
import time
from collections.abc import Sequence

from docker import APIClient
from docker.errors import APIError, NotFound

from app.adapters.docker import create_body, exec, image_tags, labels, names, parse, stop, unmanaged
from app.adapters.docker.client import QUICK, Clients
from app.adapters.docker.errors import answered, create_error, start_error, translate_errors
from app.errors import CommitFailed, DeleteFailed, ImageNotFound, StartFailed, StopFailed, Unavailable
from app.model.adoption import UnmanagedContainer, UnmanagedVolume
from app.model.container import ContainerPlan, ExecResult, Image, Inspected, Mount, Observed
from app.model.messages import Text

# How long, in seconds, Docker may take for what it does not do at once: a create copies what the image has
# at its VOLUMEs, a removal deletes a layer of any size, a commit packs one.
_CREATE, _START, _REMOVE, _COMMIT = 120, 120, 120, 900
_HELD = "gpudock-held"
_LOG_CAP = 1 << 20
_REF = re.compile(r"[a-zA-Z0-9][\w.-]*", re.ASCII)


class DockerEngine:
    """Implements `ports.Engine` for the engine at `base_url`; it need not be up yet.

    `gpu_request` says how GPUs are asked for: "nvidia" or "cdi", or "none" to note them in a label only.
    A stop waits `stop_timeout` seconds at most for the processes of a container to end by themselves.
    """

    def __init__(self, base_url: str, node: str, gpu_request: str, stop_timeout: float) -> None:
        self._clients = Clients(base_url)
        self._node = node
        self._gpu_request = gpu_request
        self._stop_timeout = stop_timeout

    def ping(self) -> str:
        """The engine's version."""
        with translate_errors():
            return str(self._clients.quick().version()["Version"])

    def image(self, name: str) -> Image:
        """The local image of that name, tag, digest or id; ImageNotFound if there is none."""
        absent = ImageNotFound(
            Text("there is no image {name} on this host; pull or build it there first", name=repr(name))
        )
        if not names.IMAGE.fullmatch(name):
            raise absent
        with translate_errors():
            try:
                raw = self._clients.quick().inspect_image(names.unlike_an_id(name))  # type: ignore[no-untyped-call]
            except APIError as exc:
                if exc.status_code in (400, 404):
                    raise absent from exc
                raise
        return Image(raw["Id"], tuple(raw["Config"].get("Volumes") or ()))

    def hold_image(self, image_id: str) -> None:
        """Tag the image `gpudock-held:…`, so that no prune takes it; ImageNotFound if it is gone."""
        with translate_errors(missing=ImageNotFound):
            self._clients.quick().tag(image_id, _HELD, _held_tag(image_id))

    def release_image(self, image_id: str) -> None:
        """Take that tag away, and with it an image that has no other name and no containers."""
        with translate_errors():
            try:
                client = self._clients.patient(_REMOVE)
                client.remove_image(f"{_HELD}:{_held_tag(image_id)}", noprune=True)
            except APIError as exc:
                if exc.status_code not in (404, 409):  # gone already; the last name of what a container needs
                    raise

    def held_images(self) -> set[str]:
        """The ids of the images with such a tag, without those that a container, anybody's, was made of."""
        with translate_errors():
            return image_tags.held(self._clients.quick(), _HELD)

    def volume_exists(self, name: str) -> bool:
        """Whether Docker has a volume of that name."""
        with translate_errors():
            try:
                self._clients.quick().inspect_volume(name)
            except NotFound:
                return False
        return True

    def volume_names(self) -> set[str]:
        """The names of all volumes that Docker has, whoever made them."""
        with translate_errors():
            return {raw["Name"] for raw in self._clients.quick().volumes()["Volumes"] or ()}

    def volume(self, name: str) -> UnmanagedVolume | None:
        """How a volume was made, or None if Docker has none of that name."""
        if not _REF.fullmatch(name):
            return None
        with translate_errors():
            try:
                return unmanaged.volume(self._clients.quick().inspect_volume(name))
            except NotFound:
                return None

    def mounts(self) -> dict[str, list[Mount]]:
        """Which containers, ours or not, running or not, mount which volume, by the volume's name."""
        with translate_errors():
            return parse.mounts(self._clients.quick().containers(all=True))

    def remove_volume(self, name: str) -> None:
        """Remove a volume unless a container still uses it; nothing happens if it is gone already."""
        with translate_errors():
            try:
                self._clients.patient(_REMOVE).remove_volume(name)
            except APIError as exc:
                if exc.status_code not in (404, 409):
                    raise

    def create(self, plan: ContainerPlan) -> str:
        """Create a container, not started, and return its id; adopt one that this operation created before.

        Raises ContainerExists if anybody else has the name, ImageNotFound, and StartRefused with Docker's
        reason if it does not accept the spec.
        """
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

    def inspect(self, ref: str) -> Inspected | None:
        """The container, or None if there is none."""
        with translate_errors():
            try:
                return parse.inspected(self._clients.quick().inspect_container(ref))
            except NotFound:
                return None

    def describe(self, ref: str) -> UnmanagedContainer | None:
        """What anybody's container would be as one of ours, or None if there is none; ImageNotFound without its image.

        A spec cannot say everything: `differences` tells what it lost.
        """
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
        """What the container `old` has and `new`, made of its description, has not, in the words of `docker run`."""
        with translate_errors():
            client = self._clients.quick()
            return unmanaged.differences(client.inspect_container(old), client.inspect_container(new))

    def list(self, family: str | None = None, operation: str | None = None) -> list[Observed]:
        """This node's labelled containers, running or not; of one family or one operation only, if given."""
        wanted = labels.wanted(self._node, family, operation)
        with translate_errors():
            raw = self._clients.quick().containers(all=True, filters={"label": wanted})
        return [observed for observed in map(parse.listed, raw) if observed.labels]

    def start(self, ref: str) -> None:
        """Start it; StartRefused if the spec is at fault, PortTaken for a port in use, StartFailed otherwise."""
        with translate_errors(StartFailed):
            try:
                self._clients.patient(_START).start(ref)
            except APIError as exc:
                raise start_error(exc) from exc

    def stop(self, ref: str) -> None:
        """Stop it: tell every process, wait for those that can react (bounded), then kill. Stopped is fine too."""
        with translate_errors(StopFailed):
            stop.stop(self._clients.quick(), self._clients.patient(stop.GONE_WITHIN), ref, self._stop_timeout)

    def remove(self, ref: str) -> None:
        """Remove the container, running or not, and not its anonymous volumes; gone already is fine too."""
        with translate_errors(DeleteFailed):
            try:
                self._clients.patient(_REMOVE).remove_container(ref, force=True, v=False)
            except NotFound:
                return
            except APIError as exc:
                if exc.status_code != 409:
                    raise
                self._wait_until_gone(ref)  # somebody else is removing it

    def commit(self, ref: str, image_name: str, operation: str) -> str:
        """Make an image of the container for an operation and return its id; CommitFailed if Docker cannot.

        It gets its name at the end, from here: Docker goes on with a commit whose caller has died, and must not give
        the name away then. Raises InvalidRequest for a name that no image can have.
        """
        with translate_errors():
            names.check_new(self._clients.quick(), image_name)
        with translate_errors(CommitFailed):
            client, changes = self._clients.patient(_COMMIT), [*labels.blanked(), *self._origin(ref)]
            made = str(client.commit(ref, changes=[*changes, labels.committed_by(operation)])["Id"])
            client.tag(made, *names.parts(image_name))
        return made

    def name_commit(self, operation: str, image_name: str) -> bool:
        """Give the image that `commit` made for an operation its name, once more if need be.

        False if there is no such image, or if another one has the name by now.
        """
        with translate_errors(CommitFailed):
            return image_tags.name_commit(self._clients.quick(), operation, image_name)

    def nameless_commits(self) -> set[str]:
        """The operations whose commits made images that have no name."""
        with translate_errors():
            return image_tags.nameless_commits(self._clients.quick())

    def drop_commit(self, operation: str) -> None:
        """Remove the nameless image that `commit` made for an operation; nothing happens if there is none."""
        with translate_errors(DeleteFailed):
            image_tags.drop_commit(self._clients.patient(_REMOVE), operation)

    def execute(self, ref: str, cmd: Sequence[str], work_dir: str | None, timeout: float, cap: int) -> ExecResult:
        """Run a command in the container for at most `timeout` seconds, keeping `cap` bytes of each stream.

        Raises ContainerNotRunning, or CommandRefused if there is no such command or directory.
        """
        with translate_errors():
            return exec.execute(self._clients.quick(), ref, cmd, work_dir, timeout, cap)

    def logs(self, ref: str, tail: int) -> str:
        """The last `tail` lines that its main process printed, at most the last 1 MiB of them."""
        with translate_errors():
            client = self._clients.quick()
            url = f"{client.base_url}/v{client.api_version}/containers/{ref}/logs"
            kept = bytearray()
            with client.get(url, params={"stdout": 1, "stderr": 1, "tail": tail}, stream=True, timeout=QUICK) as answer:
                answered(answer)
                # With a TTY the streams are one and unframed.
                for chunk in answer.iter_content(1 << 16):
                    kept += chunk
                    del kept[:-_LOG_CAP]
        return kept.decode(errors="replace")

    def _origin(self, ref: str) -> Sequence[str]:
        seen = self.inspect(ref)
        return [labels.committed(seen.labels.name)] if seen and seen.labels else []

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


def _held_tag(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:32]

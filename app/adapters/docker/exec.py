"""Commands in a running container, with a deadline and a cap on what they print; Docker itself has neither."""

import select
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

import requests
import urllib3
from docker import APIClient
from docker.errors import APIError

from app.adapters.docker.client import QUICK, Clients
from app.adapters.docker.errors import answered, plain, reason, translate_errors
from app.adapters.docker.processes import kill_session
from app.errors import CommandRefused, ContainerNotRunning, DomainError
from app.model.container import ExecResult
from app.model.messages import Text

_HEADER = struct.Struct(">BxxxL")
_STDOUT, _STDERR = 1, 2
_REFUSED = ("OCI runtime exec failed", "exec failed")
_POLL = 0.01
_LOG_CAP = 1 << 20
_BEGIN = 10  # seconds; how long Docker may take to learn the pid of what it has started
# A command that prints this many times the cap is a flood; Docker passes on some 25 MB/s, so it would take for ever.
_FLOOD = 64


class DockerExec:
    """Implements `ports.Exec` for the engine that `clients` speak to; it need not be up yet."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def execute(self, ref: str, cmd: Sequence[str], work_dir: str | None, timeout: float, cap: int) -> ExecResult:
        with translate_errors():
            return execute(self._clients.quick(), ref, cmd, work_dir, timeout, cap)

    def logs(self, ref: str, tail: int) -> str:
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


def execute(
    client: APIClient, ref: str, cmd: Sequence[str], work_dir: str | None, timeout: float, cap: int
) -> ExecResult:
    """Run `cmd` for at most `timeout` seconds, keeping the first `cap` bytes of each stream; kill it at the deadline.

    A command that prints _FLOOD times the cap is killed as well; its result is what was kept, without an exit code.
    Raises ContainerNotRunning or CommandRefused. A command that ends while others of its making still hold
    its output open is done at the deadline, and they are left alone.
    """
    deadline = time.monotonic() + timeout
    output = Output(cap)
    try:
        identity = client.exec_create(ref, list(cmd), workdir=work_dir)["Id"]
        with _started(client, identity, deadline) as stream:
            return _outcome(client, identity, stream, deadline, output)
    except APIError as exc:
        if refusal := _refusal(exc):
            raise refusal from exc
        raise


class Output:
    """Collect the two streams of a command, from the frames that Docker wraps them in."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._frames = bytearray()
        self._kept = {_STDOUT: bytearray(), _STDERR: bytearray()}
        self._truncated = False
        self._seen = 0

    @property
    def flooded(self) -> bool:
        """Tell if so much came that the rest is not worth waiting for."""
        return self._seen > _FLOOD * self._cap

    def feed(self, chunk: bytes) -> None:
        """Take in what came, whole frames or not."""
        self._frames += chunk
        self._seen += len(chunk)
        while len(self._frames) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._frames)
            end = _HEADER.size + length
            if len(self._frames) < end:
                break
            self._keep(self._kept[_STDOUT if stream == _STDOUT else _STDERR], self._frames[_HEADER.size : end])
            del self._frames[:end]

    def check(self, exit_code: int) -> None:
        """Raise CommandRefused or ContainerNotRunning if the output is Docker's excuse for not having run the command.

        Docker writes it to stdout, with exit code 126 or 127 (seen with 20.10); a command's own 127 prints no such.
        """
        text = self._kept[_STDOUT].decode(errors="replace")
        if exit_code not in (126, 127) or not text.startswith(_REFUSED):
            return
        if "stopped" in text or "not running" in text:
            raise ContainerNotRunning(Text("the container is not running; start it first"))
        raise CommandRefused(Text("the command cannot be executed: {why}", why=plain(text)))

    def result(self, exit_code: int | None, timed_out: bool = False) -> ExecResult:
        """Give the result from what was kept so far."""
        stdout, stderr = (bytes(self._kept[stream]).decode(errors="replace") for stream in (_STDOUT, _STDERR))
        return ExecResult(stdout, stderr, exit_code, self._truncated, timed_out)

    def _keep(self, kept: bytearray, data: bytearray) -> None:
        room = self._cap - len(kept)
        self._truncated |= len(data) > room
        kept += data[:room]


def _started(client: APIClient, identity: str, deadline: float) -> requests.Response:
    """Docker's answer to the start of the command, which goes on as long as the command has its output open."""
    url = f"{client.base_url}/v{client.api_version}/exec/{identity}/start"
    seconds = max(0.001, deadline - time.monotonic())
    return answered(client.post(url, json={"Detach": False, "Tty": False}, stream=True, timeout=seconds))


def _outcome(
    client: APIClient, identity: str, stream: requests.Response, deadline: float, output: Output
) -> ExecResult:
    # The stream stays open to the end: Docker says of a command that it can tell nobody that it does not run.
    for chunk in _until(stream.raw, deadline):
        output.feed(chunk)
        if output.flooded:
            break
    state = _state(client, identity, 0 if output.flooded else deadline)
    if state["Running"]:
        kill_session(client, state["ContainerID"], state["Pid"])
        return output.result(None, timed_out=not output.flooded)
    output.check(state["ExitCode"])
    return output.result(state["ExitCode"])


def _until(raw: Any, deadline: float) -> Iterator[bytes]:
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    while True:
        # The first read is not polled for: what came along with the headers is in a buffer, not in the socket.
        # The request's own timeout ends it at the deadline.
        try:
            chunk = raw.read1(1 << 16)
        except urllib3.exceptions.ReadTimeoutError:
            return
        if not chunk:
            return
        yield chunk
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return


def _state(client: APIClient, identity: str, deadline: float) -> dict[str, Any]:
    """Ask what Docker knows of the command once it has ended, which it learns a little after the streams do.

    At `deadline` it is told as running. On a busy host the first output may come before Docker knows the pid.
    """
    begun = time.monotonic() + _BEGIN
    while (state := client.exec_inspect(identity))["Running"]:
        if time.monotonic() >= (deadline if state["Pid"] else begun):
            break
        time.sleep(_POLL)
    return dict(state)


def _refusal(exc: APIError) -> DomainError | None:
    if exc.status_code == 409:
        return ContainerNotRunning(Text("the command cannot be executed now: {why}", why=reason(exc)))
    if exc.status_code == 400:
        return CommandRefused(Text("the command cannot be executed: {why}", why=reason(exc)))
    return None

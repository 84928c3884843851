"""One pull of an image. Docker's report is read in a thread of its own: the caller hears when nothing comes, too."""

import json
import re
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from docker import APIClient
from docker.auth import get_config_header, resolve_repository_name
from docker.errors import APIError
from docker.utils import parse_repository_tag

from app.adapters.docker.client import QUICK, Clients
from app.adapters.docker.errors import answered, plain, reason, translate_errors
from app.errors import DomainError, ImageNotInRegistry, ImagePullFailed, RegistryUnreachable, Unavailable
from app.model.image import PullState
from app.model.messages import Text

# Docker tells something all the time while it loads or unpacks, so after so many seconds of silence it hangs.
_SILENCE = 300
_TICK = 0.5
_ABSENT = re.compile(r"not found|unknown|denied|unauthorized|no basic auth credentials", re.IGNORECASE)
_OUT_OF_REACH = re.compile(
    r"dial tcp|no such host|connection (refused|reset)|[Tt]imeout|x509|tls:|server gave HTTP response|EOF|unreachable"
)
Event = dict[str, Any]


def pull(clients: Clients, reference: str, tell: Callable[[PullState], None]) -> None:
    """Have Docker load the image; `tell` hears twice a second or more how far it is, and ends it by raising.

    Raises RegistryUnreachable, ImageNotInRegistry, ImagePullFailed, or Unavailable for Docker itself or its disk.
    """
    events, unwanted = SimpleQueue[Event](), threading.Event()
    layers = Layers()
    pool = ThreadPoolExecutor(1, "pull")
    reading = pool.submit(_read, clients, reference, events, unwanted)
    pool.shutdown(wait=False)
    try:
        while not (reading.done() and events.empty()):
            layers.hear(_next(events))
            tell(layers.state)
    finally:
        unwanted.set()
    with translate_errors():
        try:
            reading.result()
        except APIError as exc:
            raise failure(reason(exc), reference) from exc
    if layers.error:
        raise failure(plain(layers.error), reference)


def _next(events: "SimpleQueue[Event]") -> Event:
    try:
        return events.get(timeout=_TICK)
    except Empty:
        return {}


def _read(clients: Clients, reference: str, events: "SimpleQueue[Event]", unwanted: threading.Event) -> None:
    """Ask Docker, and pass on what it says. Closing the connection ends the pull there too."""
    with closing(clients.quick()) as client, closing(_stream(client, reference)) as told:
        for event in told:
            if unwanted.is_set():
                return
            events.put(event)


def _stream(client: APIClient, reference: str) -> Generator[Event, None, None]:
    repository, tag = parse_repository_tag(reference)
    login = get_config_header(client, resolve_repository_name(repository)[0])
    headers = {"X-Registry-Auth": login} if login else {}
    url, params = f"{client.base_url}/v{client.api_version}/images/create", {"fromImage": repository, "tag": tag}
    with client.post(url, params=params, headers=headers, stream=True, timeout=(QUICK, _SILENCE)) as answer:
        for line in answered(answer).iter_lines():
            yield json.loads(line)


@dataclass
class _Layer:
    done: int = 0
    total: int | None = None
    loaded: bool = False


@dataclass
class Layers:
    """Collect what Docker has said of the layers of an image that it loads; `error` is what it ended with, if that."""

    error: str | None = None
    _layers: dict[str, _Layer] = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        """Take note of one line of the report."""
        self.error = event.get("error", self.error)
        status, identity = event.get("status", ""), event.get("id", "")
        if status == "Pulling fs layer":
            self._layers[identity] = _Layer()
        elif (layer := self._layers.get(identity)) is not None:
            if status == "Downloading":
                layer.done, layer.total = _amounts(event["progressDetail"], layer)
            elif status in ("Download complete", "Extracting", "Pull complete"):
                layer.loaded, layer.done = True, layer.total or layer.done

    @property
    def state(self) -> PullState:
        """Tell how far it is. The total is known once every layer has begun, or is there."""
        layers = list(self._layers.values())
        loaded = all(layer.loaded for layer in layers)
        known = all(layer.total is not None or layer.loaded for layer in layers)
        step = "asking the registry" if not layers else "unpacking" if loaded else "loading"
        total = sum(layer.total or layer.done for layer in layers) if known and layers else None
        return PullState(step, sum(layer.done for layer in layers), total)


def _amounts(detail: Event, layer: _Layer) -> tuple[int, int | None]:
    total = detail.get("total", 0)
    return detail.get("current", layer.done), total if total > 0 else layer.total


def failure(text: str, reference: str) -> DomainError:
    """Find out whose fault a pull that failed is: Docker answers 404 or 500 for much the same things."""
    name = repr(reference)
    if "no space left on device" in text:
        return Unavailable("disk", Text("the disk of the Docker host is full"))
    if _OUT_OF_REACH.search(text):
        return RegistryUnreachable(
            Text("the registry of {name} cannot be reached from this host: {why}", name=name, why=text)
        )
    if _ABSENT.search(text):
        return ImageNotInRegistry(
            Text(
                "the registry has no image {name}, or does not give it to this host (docker login): {why}",
                name=name,
                why=text,
            )
        )
    return ImagePullFailed(Text("{name} could not be pulled: {why}", name=name, why=text))

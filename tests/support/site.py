"""The whole web application over working fakes, with faults on demand, for the tests of pages and access."""

import re
from dataclasses import replace
from typing import Any

from flask.testing import FlaskClient
from jinja2 import StrictUndefined
from werkzeug.test import TestResponse

from app import create_app
from app.bootstrap import Services
from app.config import Config
from app.errors import Unavailable
from app.ports import Backends, Peers
from tests.support.fake_engine import FakeEngine, FakeHost, FakeLayers
from tests.support.fake_images import FakeImages
from tests.support.fake_peers import FakePeers
from tests.support.fake_signals import FakeSignals
from tests.support.fake_volumes import FakeVolumes
from tests.support.memory_store import MemoryStore
from tests.support.world import CONFIG, FaultyInventory

TOKEN = "a-token-that-nobody-guesses"
OPEN = CONFIG
CLOSED = replace(CONFIG, token=TOKEN)


class DeadEngine(FakeEngine):
    """Answers nothing any more once it is `dead`."""

    dead = False

    def list(self, *args: Any, **options: Any) -> Any:
        if self.dead:
            raise Unavailable("docker", "Docker at unix:///nowhere.sock does not answer")
        return super().list(*args, **options)


class DeadStore(MemoryStore):
    """Answers nothing any more once it is `dead`."""

    dead = False

    def get(self, key: str) -> Any:
        self._check()
        return super().get(key)

    def list(self, *prefixes: str) -> Any:
        self._check()
        return super().list(*prefixes)

    def transact(self, *args: Any) -> Any:
        self._check()
        return super().transact(*args)

    def _check(self) -> None:
        if self.dead:
            raise Unavailable("etcd", "etcd at 127.0.0.1:2379 does not answer")


class Site:
    """An application for `config`, and what is behind it."""

    def __init__(self, config: Config = OPEN, store: DeadStore | None = None, peers: Peers | None = None) -> None:
        """With `store` and `peers` another node beside those that have the same."""
        self.store, self.engine = store or DeadStore(), DeadEngine(config.node)
        self.inventory = FaultyInventory(config.simulated_gpus or 0, config.node)
        layers = FakeLayers(self.engine)
        self.volumes = FakeVolumes(self.engine)
        self.images = FakeImages(self.engine)
        docker = (self.engine, self.images, self.engine, self.engine)
        host = (self.inventory, layers, FakeHost(), self.volumes, FakeSignals())
        parts = Backends(self.store, *docker, *host, peers or FakePeers())
        self.app = create_app(config, parts)
        self.app.jinja_env.undefined = StrictUndefined
        self.services: Services = self.app.extensions["gpudock"]

    def tell(self, url: str) -> None:
        """Have the other nodes know that this one lives, at that address, and how its things are."""
        assert self.services.agent.reconciler.leadership.acquire()
        self.services.agent.presence.report()
        self.services.agent.presence.beat(url)

    def browser(self) -> "Browser":
        """A browser that has no cookies yet."""
        return Browser(self.app.test_client())

    def operator(self, token: str = TOKEN) -> "Browser":
        """A browser that is logged in."""
        browser = self.browser()
        assert browser.submit("/login", token=token).status_code == 302
        return browser


class Browser:
    """Loads pages and submits their forms, with cookies."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, **options)

    def page(self, path: str) -> str:
        """The text of a page that must load."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.text

    def submit(self, action: str, page: str | None = None, /, **fields: str) -> TestResponse:
        """Send a form with the CSRF token found on `page` (default: the page of the same address)."""
        return self.client.post(action, data={"csrf_token": self.csrf(page or action), **fields})

    def csrf(self, page: str) -> str:
        """The token in the forms of a page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, f"there is no form on {page}"
        return found[1]


def two_nodes() -> tuple[Site, Site, FakePeers]:
    """Two nodes that know each other, `one` and `two`, and the way between them."""
    store, peers = DeadStore(), FakePeers()
    one, two = (Site(replace(CLOSED, node=node), store, peers) for node in ("one", "two"))
    for site, url in ((one, "http://one.test"), (two, "http://two.test")):
        peers.apps[url] = site.app
        site.tell(url)
    return one, two, peers

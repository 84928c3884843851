"""The live parts of the pages in a real browser, over working fakes: polling, focus, what is stale, and the charts."""

import re
import threading
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from werkzeug.serving import make_server

from app.config import Config
from app.model.names import parse
from app.web import last_known_cache
from tests.e2e.test_browser import Window, window
from tests.pages.test_pages import PLAIN
from tests.support.site import CLOSED, OPEN, TOKEN, Site

__all__ = ["window"]
REQUESTS = "performance.getEntriesByType('resource').filter(e => e.initiatorType === 'xmlhttprequest').length"
MARK = "document.querySelector('.gpu-cell').mark = 1"
FILLED = "document.querySelector('[data-name=utilisation] output').textContent"


class Served(Site):
    """A site that listens, and can be made to stop answering."""

    def __init__(self, config: Config = OPEN) -> None:
        super().__init__(config)
        self.deaf = False
        self.server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _answer(self, environ, start_response):  # type: ignore[no-untyped-def]
        if self.deaf:
            start_response("502 Bad Gateway", [("Content-Type", "text/plain")])
            return [b"the service is away"]
        return self.app(environ, start_response)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def served() -> Iterator[Served]:
    site = Served()
    yield site
    site.close()


@pytest.fixture
def closed() -> Iterator[Served]:
    site = Served(CLOSED)
    yield site
    site.close()


def wait(window: Window, what: str, seconds: float = 30) -> None:
    WebDriverWait(window, seconds, poll_frequency=0.1).until(lambda browser: browser.execute_script(f"return {what}"))


def test_what_changes_is_swapped_in_and_all_else_stays(served: Served, window: Window) -> None:
    window.get(served.url)
    link = window.find_element(By.CSS_SELECTOR, ".gpu-cell h3 a")
    window.execute_script(MARK + "; arguments[0].focus(); window.before = true", link)
    served.inventory.changes = {0: {"utilisation": 87}}
    wait(window, "document.querySelector('.gpu-cell').textContent.includes('87')")
    assert window.execute_script("return document.activeElement === arguments[0] && window.before", link)
    assert window.execute_script("return document.querySelector('.gpu-cell').mark === 1"), "morphed, not replaced"
    before = window.execute_script("return document.getElementById('live').dataset.etag")
    asked = window.execute_script(f"return {REQUESTS}")
    wait(window, f"{REQUESTS} > {asked}")
    assert window.execute_script("return document.getElementById('live').dataset.etag") == before
    assert window.errors() == []


def test_while_the_service_is_away_the_page_says_how_old_it_is(served: Served, window: Window) -> None:
    window.get(served.url)
    assert not window.find_element(By.ID, "stale").is_displayed()
    served.deaf = True
    wait(window, "!document.getElementById('stale').hidden")
    wait(window, "Number(document.getElementById('stale-age').textContent) >= 1")
    assert "GPU 0" in window.text("#live")
    served.deaf = False
    wait(window, "document.getElementById('stale').hidden")


def test_an_answer_that_is_an_error_is_told_with_its_request(served: Served, window: Window) -> None:
    served.services.containers.create("foo", PLAIN)
    window.get(f"{served.url}/containers/foo")
    served.store.dead = True
    last_known_cache.init_app(served.app)  # a server that was started anew does not know what was known last
    wait(window, "!document.getElementById('stale').hidden")
    assert re.search(r"answers with an error, see its log at request \w{32}\.", window.text("#stale"))
    assert "does not answer" not in window.text("#stale")
    served.store.dead = False
    wait(window, "document.getElementById('stale').hidden")


def test_the_page_of_what_somebody_deleted_says_that_it_is_gone(served: Served, window: Window) -> None:
    served.services.containers.create("foo", PLAIN)
    window.get(f"{served.url}/containers/foo")
    assert not window.find_element(By.ID, "gone").is_displayed()
    served.services.containers.delete(parse("foo"), force=True, erase=True)
    wait(window, "!document.getElementById('gone').hidden && document.getElementById('live').inert")
    assert not window.find_element(By.ID, "stale").is_displayed() and "foo-0" in window.text("#live")
    served.services.containers.create("foo", PLAIN)
    wait(window, "document.getElementById('gone').hidden && !document.getElementById('live').inert")
    served.services.containers.delete(parse("foo"), force=True, erase=True)
    wait(window, "!document.getElementById('gone').hidden")
    window.find_element(By.CSS_SELECTOR, "#gone a").click()
    assert window.title == "Containers · gpudock"


def test_when_the_login_has_ended_the_page_asks_for_it(closed: Served, window: Window) -> None:
    window.get(closed.url)
    window.find_element(By.NAME, "token").send_keys(TOKEN)
    window.press("Log in")
    assert window.title == "Overview · gpudock"
    window.delete_all_cookies()
    WebDriverWait(window, 30).until(lambda browser: browser.title == "Log in · gpudock")
    assert not window.find_elements(By.ID, "live")


def test_nothing_is_asked_while_nobody_looks(served: Served, window: Window) -> None:
    window.get(served.url)
    window.execute_script("window.away = true; Object.defineProperty(document, 'hidden', {get: () => window.away})")
    seen = window.execute_script("""
      window.tried = 0; window.sent = 0;
      document.addEventListener("htmx:beforeRequest", () => window.tried++);
      document.addEventListener("htmx:beforeSend", () => window.sent++);
      return [window.tried, window.sent]""")
    assert seen == [0, 0]
    wait(window, "window.tried >= 1")
    assert window.execute_script("return window.sent") == 0
    window.execute_script("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    wait(window, "window.sent === 1", 2)


def test_the_charts_show_the_last_hour_and_go_on(served: Served, window: Window) -> None:
    uuid = served.inventory.uuids()[0]
    served.inventory.changes = {0: {"utilisation": 41}}
    served.services.gpu.sampler.read()
    window.get(f"{served.url}/gpus/{uuid}")
    wait(window, f"{FILLED} === '41 %'")
    assert len(window.find_elements(By.CSS_SELECTOR, ".chart canvas")) == 4
    served.inventory.changes = {0: {"utilisation": 42}}
    served.services.gpu.sampler.start()
    wait(window, f"{FILLED} === '42 %'")
    assert window.errors() == []

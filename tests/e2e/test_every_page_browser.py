"""Every page in a real browser over a real Docker and etcd, in both themes and three widths.

Screenshots go to the directory that GPUDOCK_ARTIFACTS names (default: artifacts/), one of each page in each form.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.adapters.etcd import EtcdStore
from tests.e2e.test_browser import Window, log_in, window
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.images import IMAGE
from tests.support.pages import PAGES, Page
from tests.support.server import PREFIX, ROOT, Server
from tests.support.stuck import stuck_record

__all__ = ["window"]
THEMES = ("light", "dark")
SIZES = ((360, 800), (1280, 900), (2560, 1440))
# Both layouts: a table is a table, or a card for each row.
EXAMINED = (360, 1280)
TALLEST = 6000
AXE = ROOT / "tests/vendor/axe-core/axe.min.js"
EXAMINE = """
const done = arguments[0], where = n => n.target.join(" ") + ": " + n.failureSummary.split("\\n").slice(1).join(";");
axe.run({resultTypes: ["violations"]}).then(
  found => done(found.violations.filter(v => v.impact === "serious" || v.impact === "critical")
    .map(v => v.id + ": " + v.nodes.slice(0, 3).map(where).join(" | "))),
  error => done([String(error)]));
"""
TOO_WIDE = """
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth <= width) return [];
return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > width + 1)
  .map(e => e.tagName + "." + e.className).slice(-3);
"""
OUT_OF_SIGHT = """
return [...document.querySelectorAll("main :is(a[href], button, input, select, textarea)")]
  .filter(e => e.tabIndex >= 0 && e.getClientRects().length && e.getBoundingClientRect().right < 0)
  .map(e => e.tagName + " " + e.textContent.trim()).slice(0, 3);
"""
ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}


@pytest.fixture
def names(api: Server, dockerd: Dockerd, etcd_server: EtcdServer) -> Iterator[dict[str, str]]:
    """What the addresses of the pages name, after all that they show has been made."""
    api.data("POST", "/volumes", {"name": "vol", "size": "2MB"})
    api.data("PATCH", "/volumes/vol/size", {"size": "3MB"})
    api.create(
        "foo", gpuCount=1, binds=[{"src": "vol-1", "dest": "/data"}], env=["KEY=word"], Ports=[{"containerPort": 22}]
    )
    api.data("PATCH", "/containers/foo/gpu", {"gpuCount": 2})
    api.create("bar")
    api.data("PATCH", "/containers/bar/stop")
    stuck = stuck_record("baz", api.create("baz")["id"], "test-node")
    with closing(EtcdStore([etcd_server.endpoint], PREFIX)) as store:
        store.transact({}, [stuck])
    assert api.call("POST", "/images/pull", {"image": "127.0.0.1:1/nothing"}).status_code == 503
    found = {
        state: api.data("GET", f"/operations?state={state}")["operations"][0]["id"] for state in ("done", "undone")
    }
    yield {
        "gpu": next(iter(api.in_use())),
        "image": dockerd.docker("images", "-q", "--no-trunc", IMAGE),
        "done": found["done"],
        "failed": found["undone"],
        "stuck": stuck.value["id"],
    }
    assert api.data("POST", f"/operations/{stuck.value['id']}/resolve", {"how": "forget"})["state"] == "undone"
    for name in ("containers/foo", "containers/bar", "containers/baz"):
        api.data("DELETE", f"/{name}", ERASE)
    dockerd.remove_containers()
    for version in reversed(api.data("GET", "/volumes/vol")["versions"]):
        api.data("DELETE", f"/volumes/{version['name']}", ERASE)


@pytest.fixture
def artifacts() -> Path:
    """Where the screenshots go."""
    folder = Path(os.environ.get("GPUDOCK_ARTIFACTS") or ROOT / "artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_every_page_can_be_read_by_everybody_and_fits(
    api: Server, window: Window, names: dict[str, str], artifacts: Path
) -> None:
    window.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": AXE.read_text()})
    window.set_script_timeout(30)
    faults: list[str] = []
    for inside in (False, True):
        if inside:
            log_in(window, f"{api.url}/")
        for page in PAGES:
            if page.inside == inside:
                window.get(api.url + page.path.format(**names))
                faults += [
                    f"{page.name}: {fault}" for fault in (*look(window, page, artifacts), *heard(window, page, api))
                ]
    assert faults == [], "\n".join(faults)
    assert len(list(artifacts.glob("*.png"))) >= len(PAGES) * len(THEMES) * len(SIZES)


def look(window: Window, page: Page, artifacts: Path) -> Iterator[str]:
    """Look at the page in all its forms; yields what is wrong with it."""
    for theme in THEMES:
        window.scheme(theme)
        for size in SIZES:
            window.size(size)
            if too_wide := window.execute_script(TOO_WIDE):
                yield f"{theme} {size[0]}: scrolls sideways: {too_wide}"
            if out_of_sight := window.execute_script(OUT_OF_SIGHT):
                yield f"{theme} {size[0]}: the keyboard reaches what cannot be seen: {out_of_sight}"
            if size[0] in EXAMINED:
                yield from (f"{theme} {size[0]}: axe: {fault}" for fault in window.execute_async_script(EXAMINE))
            take(window, artifacts / f"{page.name}-{theme}-{size[0]}.png")


def take(window: Window, file: Path) -> None:
    """A picture of the whole page, down to TALLEST."""
    content = window.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": content["width"], "height": min(content["height"], TALLEST), "scale": 1}
    options = {"format": "png", "captureBeyondViewport": True, "optimizeForSpeed": True, "clip": clip}
    file.write_bytes(base64.b64decode(window.execute_cdp_cmd("Page.captureScreenshot", options)["data"]))


def heard(window: Window, page: Page, api: Server) -> Iterator[str]:
    """What the browser complained about, except that the page is one of an error; and other hosts that it asked."""
    for error in window.errors():
        if page.status == 200 or f"the server responded with a status of {page.status}" not in error:
            yield f"console: {error}"
    for url in window.requests():
        if url.startswith("http") and urlsplit(url).netloc != urlsplit(api.url).netloc:
            yield f"asks {url}"

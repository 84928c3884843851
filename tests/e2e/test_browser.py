"""The pages in a real browser, over a real Docker and etcd: log in, look, stop, restart, log out."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.dockerd import Dockerd
from tests.support.server import TOKEN, Server

ERASE = {"force": True, "delEtcdInfoAndVersionRecord": True}
PHONE, NARROW, DESK = (390, 800), (360, 800), (1280, 900)
PATHS = ("/", "/gpus", "/containers", "/volumes", "/volumes/vol", "/volumes/vol-0", "/operations", "/nothing")
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--hide-scrollbars",  # they would take their width off that of the page
]


class Window(Chrome):
    """Chromium, with the actions of one who reads and clicks."""

    def size(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def scheme(self, word: str) -> None:
        self.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": word}]}
        )

    def press(self, label: str) -> None:
        """Press the button of that text or label, and return once the page that it leads to has loaded."""
        self.execute_script("window.before = true")
        self.find_element(By.XPATH, f'//button[@aria-label="{label}" or normalize-space()="{label}"]').click()
        # A click does not wait for a form whose answer takes long. In between there may be no page to ask at all.
        loaded = "return !window.before && document.readyState === 'complete'"
        patience = WebDriverWait(self, 60, ignored_exceptions=[WebDriverException])
        patience.until(lambda browser: browser.execute_script(loaded))

    def text(self, css: str) -> str:
        return self.find_element(By.CSS_SELECTOR, css).text

    def errors(self) -> list[str]:
        """What the browser complained about since the last call."""
        return [entry["message"] for entry in self.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> set[str]:
        """The addresses that pages asked for since the last call."""
        told = (json.loads(entry["message"])["message"] for entry in self.get_log("performance"))
        return {event["params"]["request"]["url"] for event in told if event["method"] == "Network.requestWillBeSent"}


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Window]:
    """A browser with a profile of its own."""
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    assert all(programs), "the browser is missing: apt-get install chromium chromium-driver"
    options = ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Window(options=options, service=ChromeService(str(programs[1])))
    browser.set_page_load_timeout(60)
    browser.size(DESK)
    yield browser
    browser.quit()


@pytest.fixture
def volume(api: Server, dockerd: Dockerd) -> Iterator[str]:
    """A volume with two versions, deleted in the end: each is a filesystem that the host has mounted."""
    api.data("POST", "/volumes", {"name": "vol", "size": "2MB"})
    api.data("PATCH", "/volumes/vol/size", {"size": "3MB"})
    yield "vol"
    dockerd.remove_containers()
    for version in reversed(api.data("GET", "/volumes/vol")["versions"]):
        api.data("DELETE", f"/volumes/{version['name']}", ERASE)


def log_in(window: Window, url: str) -> None:
    window.get(url)
    window.find_element(By.NAME, "token").send_keys(TOKEN)
    window.press("Log in")


def test_an_operator_logs_in_stops_restarts_and_logs_out(api: Server, window: Window, tmp_path: Path) -> None:
    api.create("foo", gpuCount=2, env=["X=<script>document.title='broken into'</script>"])
    log_in(window, f"{api.url}/containers/foo")
    assert window.current_url == f"{api.url}/containers/foo" and window.title == "foo-0 · gpudock"
    window.find_element(By.LINK_TEXT, "Stop…").click()
    window.press("Stop foo-0")
    assert window.text(".notice.success") == "foo-0 is stopped; its GPUs are free" and not api.in_use()
    assert window.text("h1") == "foo-0 stopped"
    window.find_element(By.LINK_TEXT, "Start…").click()
    window.press("Restart foo-0")
    assert window.text(".notice.success") == "foo-1 runs" and len(api.in_use()) == 2
    assert window.text("h1") == "foo-1 running" and window.current_url == f"{api.url}/containers/foo"
    window.get(api.url)
    assert "6 of 8 free" in window.text("main") and "foo-1" in window.text("main")
    assert (
        window.save_screenshot(str(tmp_path / "overview.png")) and (tmp_path / "overview.png").stat().st_size > 10_000
    )
    assert window.errors() == []
    window.press("Log out")
    window.get(f"{api.url}/containers/foo")
    assert window.title == "Log in · gpudock"


def test_pages_fit_a_phone_and_have_a_dark_form(api: Server, volume: str, window: Window) -> None:
    name, dest = "x" * 100, "/" + "y" * 200
    binds = [{"src": f"{volume}-1", "dest": dest}]
    api.create(name, gpuCount=1, binds=binds, env=["LONG=" + "x" * 300], Ports=[{"hostPort": 0, "containerPort": 22}])
    api.data("PATCH", f"/containers/{name}/gpu", {"gpuCount": 2})
    broken = {"imageName": "busybox:test", "containerName": "bad", "cmd": ["z" * 200]}
    assert api.call("POST", "/containers", broken).status_code == 422
    log_in(window, api.url)
    for size in (PHONE, NARROW, DESK):
        window.size(size)
        for path in (*PATHS, f"/containers/{name}", f"/containers/{name}-0"):
            window.get(api.url + path)
            assert window.execute_script("return document.documentElement.scrollWidth") == size[0], (path, size)
    colours = []
    for word in ("light", "dark"):
        window.scheme(word)
        window.get(api.url)
        colours.append(window.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(245, 246, 247)", "rgb(20, 24, 28)"]


def test_text_stands_out_from_its_background_in_both_schemes(api: Server, volume: str, window: Window) -> None:
    api.create("foo", gpuCount=1, binds=[{"src": f"{volume}-1", "dest": "/data"}])
    api.data("PATCH", "/containers/foo/gpu", {"gpuCount": 2})
    api.data("PATCH", "/containers/foo/stop")
    log_in(window, api.url)
    for word in ("light", "dark"):
        window.scheme(word)
        for path in (*PATHS, "/containers/foo", "/containers/foo-0"):
            window.get(api.url + path)
            assert window.execute_script(CONTRAST) == [], (word, path)


def test_the_documents_work_with_a_login_and_under_the_strict_policy(api: Server, window: Window) -> None:
    log_in(window, f"{api.url}/containers")
    window.get(f"{api.url}/api/docs")
    window.implicitly_wait(20)
    assert window.find_element(By.CSS_SELECTOR, ".opblock-summary-path").text
    assert window.errors() == []


# Text with a contrast below 4.5 (WCAG 2.2, 1.4.3 AA) against the nearest background that is not transparent.
CONTRAST = """
const parse = c => c.match(/[\\d.]+/g).map(Number);
const light = c => parse(c).slice(0, 3).map(v => v / 255)
  .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const back = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if ((parse(c)[3] ?? 1) > 0) return c; } return 'rgb(255, 255, 255)'; };
return [...document.body.querySelectorAll('*')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
  .map(e => { const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((x, y) => y - x);
    return [e.textContent.trim(), (a + 0.05) / (b + 0.05)]; })
  .filter(([, ratio]) => ratio < 4.5);
"""

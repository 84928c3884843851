"""What an operator does on the pages in a real browser, over a real Docker and etcd, with JavaScript and without."""

import re

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.e2e.test_browser import Window, log_in, window
from tests.support.server import Server

__all__ = ["window"]


class Operator:
    """Clicks and types as one who reads the pages; works with JavaScript and without."""

    def __init__(self, window: Window, url: str) -> None:
        self._window = window
        self._url = url

    def go(self, path: str) -> None:
        self._window.get(self._url + path)

    def follow(self, words: str) -> None:
        """Follow the link of that text or label."""
        self._click(f'//main//a[@aria-label="{words}" or normalize-space()="{words}"]')

    def press(self, words: str) -> None:
        """Press the button of that text, and return once the page that it leads to is there."""
        self._click(f'//main//button[normalize-space()="{words}"]')

    def type(self, **fields: str) -> None:
        """Fill fields by their names; the first of each name."""
        for name, value in fields.items():
            field = self._window.find_element(By.CSS_SELECTOR, f'main [name="{name}"]')
            if field.tag_name == "select":
                Select(field).select_by_value(value)
            else:
                field.clear()
                field.send_keys(value)

    def choose(self, name: str, value: str) -> None:
        self._window.find_element(By.CSS_SELECTOR, f'main [name="{name}"][value="{value}"]').click()

    def text(self, css: str = "main") -> str:
        return " ".join(self._window.text(css).split())

    def run(self, command: str) -> str:
        """Run a command in the container whose page is open, and go back to that; what it printed."""
        self.type(command=command)
        self.press("Run")
        assert self.text("#result") == "Exit code 0"
        printed = [element.text for element in self._window.find_elements(By.CSS_SELECTOR, "pre")]
        self._window.back()
        return "".join(printed)

    def _click(self, where: str) -> None:
        page = self._window.find_element(By.TAG_NAME, "html")
        self._window.find_element(By.XPATH, where).click()
        # While a page goes, chromedriver has a second error for what is no longer there.
        WebDriverWait(self._window, 60, ignored_exceptions=(WebDriverException,)).until(staleness_of(page))
        self._window.find_element(By.CSS_SELECTOR, "h1")


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_an_operator_makes_changes_goes_back_and_deletes(api: Server, window: Window, scripts: bool) -> None:
    log_in(window, f"{api.url}/volumes")
    window.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    operator = Operator(window, api.url)
    _create(operator)
    _grow(operator)
    if scripts:
        _watch(operator, window, api)
    _enlarge_the_volume(operator)
    _go_back(operator)
    _delete(operator)
    refused = "Failed to load resource: the server responded with a status of 4"  # the two forms with a mistake
    assert [refused in error for error in window.errors()] == [True, True]
    assert {url for url in window.requests() if url.startswith("http") and not url.startswith(f"{api.url}/")} == set()


def _create(operator: Operator) -> None:
    operator.go("/volumes")
    assert "No volumes yet." in operator.text()
    operator.follow("New volume")
    operator.type(name="data", size="2MB")
    operator.press("Create")
    assert operator.text(".notice.success") == "data-0 is created"
    operator.go("/containers")
    operator.follow("New container")
    operator.type(name="foo", image="busybox:test", gpus="9", mount_source="data-0", mount_place="/data", env="A=1")
    operator.press("Create and start")
    assert "more GPUs are needed" in operator.text("#gpus-error")
    operator.type(gpus="1")
    operator.press("Create and start")
    assert operator.text("h1") == "foo-0 running"
    assert operator.run("sh -c 'echo kept >/data/x; echo first >/root/y; cat /data/x'") == "kept"


def _grow(operator: Operator) -> None:
    operator.go("/containers/foo")
    operator.follow("Change GPUs…")
    operator.type(count="3")
    operator.press("Show what that changes")
    assert "Version foo-0 foo-1" in operator.text(".compare") and "GPUs 1 3" in operator.text(".compare")
    operator.press("Change to 3 GPUs")
    assert operator.text("h1") == "foo-1 running"
    assert operator.run("sh -c 'cat /root/y; echo second >/root/y'") == "first"
    operator.go("/containers/foo")
    here = operator.text(".timeline .current")
    assert here.startswith("foo-1 running you are here") and "GPUs 1 → 3" in here
    assert re.search(r"own files: [0-9.]+ KB", here) and "foo-0 stopped" in operator.text(".timeline")


def _watch(operator: Operator, window: Window, api: Server) -> None:
    """With JavaScript a page shows by itself what others do."""
    operator.go("/containers")
    window.execute_script("window.before = true")
    api.data("PATCH", "/containers/foo/stop")
    WebDriverWait(window, 30).until(lambda _: "stopped" in operator.text("#row-foo"))
    operator.go("/containers/foo")
    assert "Start…" in operator.text(".actions")
    api.data("PATCH", "/containers/foo/restart")
    WebDriverWait(window, 30).until(lambda _: operator.text("h1") == "foo-2 running")
    assert window.execute_script("return typeof window.before") == "undefined"
    api.sh("foo", "echo said by itself >/proc/1/fd/1")
    WebDriverWait(window, 30).until(lambda _: "said by itself" in operator.text("#log-lines"))
    api.data("PATCH", "/containers/foo/rollback", {"version": 1})
    api.data("DELETE", "/containers/foo-2", {"force": True, "delEtcdInfoAndVersionRecord": True})


def _enlarge_the_volume(operator: Operator) -> None:
    operator.go("/volumes/data")
    operator.follow("Change the size…")
    operator.type(size="3MB")
    operator.press("Show what that changes")
    assert "Size 2MB 3MB" in operator.text(".compare")
    operator.press("Change to 3MB")
    assert operator.text(".notice.success") == "data-1 has 3MB" and "2MB → 3MB" in operator.text(".timeline .current")
    operator.go("/containers/foo")
    operator.follow("Change a volume…")
    operator.type(source="data-1")
    operator.press("Show what that changes")
    assert "mount /data data-0 data-1" in operator.text(".compare")
    operator.press("Mount data-1 at /data")
    assert "data-0 → data-1" in operator.text(".timeline .current")
    assert operator.run("cat /data/x /root/y") == "kept\nsecond"


def _go_back(operator: Operator) -> None:
    operator.go("/containers/foo")
    operator.follow("Go back to foo-0")
    assert "GPUs 3 1" in operator.text(".compare")
    operator.press("Go back to foo-0")
    assert operator.text(".notice.success").endswith("runs with the files and settings of foo-0")
    assert operator.run("cat /data/x /root/y") == "kept\nfirst"


def _delete(operator: Operator) -> None:
    operator.go("/containers/foo")
    name = operator.text("h1").split()[0]
    operator.follow("Delete…")
    operator.choose("scope", "everything")
    operator.type(typed="foo")
    operator.press(f"Delete {name}")
    assert "type the name exactly as it is" in operator.text("[role=alert]")
    operator.type(typed=name)
    operator.press(f"Delete {name}")
    assert "No containers yet." in operator.text()
    operator.go("/volumes/data/delete")
    operator.choose("scope", "everything")
    operator.type(typed="data-1")
    operator.press("Delete data-1")
    assert "No volumes yet." in operator.text()

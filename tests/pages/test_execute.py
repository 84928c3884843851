"""Running a command on a container's page: it is run once, however often its result is looked at."""

import re
import time
from collections.abc import Sequence

import pytest

from app.errors import Unavailable
from app.model.container import ExecResult
from tests.pages.test_container_forms import refusal, typed
from tests.pages.test_pages import HOSTILE, PLAIN, browser, notices, site, text
from tests.support.fake_engine import FakeContainer
from tests.support.site import Browser, Site, two_nodes

__all__ = ["browser", "site"]


def fields(html: str) -> tuple[str, str]:
    """What is in the form: the command and its directory."""
    found = typed(html)
    return found["command"], found["work_dir"]


def without_keys(html: str) -> str:
    """A page but for the key of its form, which is another one every time."""
    return re.sub(r'name="once" value="[^"]+"', "", html)


def outcome(browser: Browser, command: str) -> tuple[str, str]:
    """Run a command; the page that its form leads to, and where that is."""
    done = browser.submit("/containers/foo/execute", "/containers/foo", command=command, work_dir="/tmp")
    assert done.status_code == 303, done.text
    return browser.page(done.headers["Location"]), done.headers["Location"]


def test_a_command_is_run_once_and_what_it_printed_can_be_looked_at_again(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    ran = []

    def count(_container: FakeContainer, cmd: Sequence[str]) -> ExecResult:
        ran.append(list(cmd))
        return ExecResult("<b>  x\n", "", 3, False)

    site.engine.commands["count"] = count
    html, address = outcome(browser, "count '<b>'  x")
    assert re.fullmatch(r"/containers/foo/execute\?result=[\w-]{20,}", address)
    for page in (html, browser.page(address), site.browser().page(address)):
        assert '<pre tabindex="0">&lt;b&gt;  x\n</pre>' in page and "Exit code 3" in text(page)
        assert fields(page) == ("count '<b>'  x", "/tmp")
    assert ran == [["count", "<b>", "x"]]
    site.services.containers.create("bar", PLAIN)
    for other in (address.replace("foo", "bar"), "/containers/foo/execute?result=made-up"):
        gone = browser.page(other)
        assert "no longer kept" in text(gone) and "Exit code" not in gone and fields(gone) == ("", "")


def test_a_result_that_is_no_longer_kept_leaves_what_was_typed(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.services.containers.create("foo", PLAIN)
    _html, address = outcome(browser, "echo x")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 15 * 60)
    html = browser.page(address)
    assert notices(browser.get(address))[0].endswith("for 15 minutes. It was not run again.")
    assert fields(html) == ("echo x", "/tmp") and "Exit code" not in html


def test_a_command_that_failed_says_so_and_is_not_repeated_either(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    for command, status, words in (
        ("absent", 422, "there is no command"),
        ("sh -c 'x", 400, "quotation mark"),
        ("", 400, "cmd is missing"),
    ):
        response = browser.submit("/containers/foo/execute", "/containers/foo", command=command)
        assert response.status_code == status and words in refusal(response)
    site.engine.commands["slow"] = lambda _container, _cmd: ExecResult("so far", HOSTILE, None, False, timed_out=True)
    late, _address = outcome(browser, "slow")
    assert "so far" in late and "It was killed" in late and "ran longer than" in text(late)
    assert "<script>" not in late and HOSTILE in text(late)
    site.engine.fail_next["execute"] = Unavailable("docker", "Docker is too slow")
    sent = browser.submit("/containers/foo/execute", "/containers/foo", command="echo x")
    failed = browser.get(sent.headers["Location"])
    assert (sent.status_code, failed.status_code) == (303, 200) and "Docker is too slow" in failed.text
    (notice,) = notices(failed)
    assert sent.headers["X-Request-Id"] in notice and typed(failed.text)["command"] == "echo x"


def test_what_ran_on_another_node_is_shown_by_that_node() -> None:
    one, two, peers = two_nodes()
    two.services.containers.create("foo", PLAIN)
    two.services.agent.presence.report()
    operator = one.operator()
    html, address = outcome(operator, "echo there")
    assert "Exit code 0" in html and "there" in html and without_keys(operator.page(address)) == without_keys(html)
    posts = [message.target for _node, message in peers.sent if message.method == "POST"]
    assert posts == ["/containers/foo/execute"] and {node for node, _message in peers.sent} == {"two"}
    assert "no longer kept" in two.operator().page(address.replace("result=", "result=x"))

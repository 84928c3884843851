"""The page of operations, as its HTML tells it, over working fakes."""

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest

from app.errors import Cancelled, StartFailed
from app.model.names import parse
from app.model.operation import Kind, Operation, new_id, now
from app.operations.base import Plan
from app.operations.handle import Failure, OperationHandle
from app.state.keys import cancellation_key
from app.web.pages.filters import lasted
from app.web.pages.words import meaning
from tests.pages.test_pages import HOSTILE, PLAIN, browser, notices, site, text
from tests.support.site import Browser, Site
from tests.support.volumes import wait_for

__all__ = ["browser", "site"]
MB = 1 << 20


def begin(site: Site, kind: str, family: str, version: int, **fields: Any) -> OperationHandle:
    """A running operation of this process, unless `owner` says otherwise."""
    operation = Operation(new_id(), kind, family, version, "test-node", "this-process", now())
    live = site.services.operations.journal.begin(Plan(operation=replace(operation, **fields)))
    assert live is not None
    return live


def lines(html: str) -> list[str]:
    """The rows of the table, in their order, as plain text."""
    (body,) = re.findall(r"<tbody>(.*?)</tbody>", html, re.DOTALL)
    return [text(row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)]


def test_past_operations_are_listed_newest_first(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    site.services.containers.create("foo", PLAIN)
    site.services.containers.change_gpus(parse("foo"), 1)
    site.services.containers.stop(parse("foo"))
    html = browser.page("/operations")
    ended = r" test-node done – gpudock itself 20[0-9: -]+ [0-9.]+ s – –"
    for line, words in zip(
        lines(html),
        (
            "stop foo-1 container on",
            "GPU change foo-1 container on",
            "create foo-0 container on",
            "create vol-0 volume on",
        ),
        strict=True,
    ):
        assert re.fullmatch(words + ended, line), line
    assert re.findall(r'href="(/[cv]o[^"]*-[0-9])"', html) == [
        "/containers/foo-1",
        "/containers/foo-1",
        "/containers/foo-0",
        "/volumes/vol-0",
    ]
    assert "/cancel" not in html and "<caption>4 operations, newest first</caption>" in html


def test_every_kind_can_be_chosen_and_has_words(site: Site, browser: Browser) -> None:
    assert {kind for _, kind in site.services.operations.runner._registry.kinds} <= set(Kind)
    with site.app.test_request_context():
        assert [kind for kind in Kind if meaning(kind) is None] == []


def test_running_ones_show_how_far_they_are(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    begin(site, "resize", "vol", 1, resource="volumes", step="copying", done=3 * MB, total=12 * MB)
    begin(site, "create", "foo", 0, step="copying", done=5 * MB)
    begin(site, "create", "bar", 0)
    html = browser.page("/operations")
    bar, foo, vol, _ = lines(html)
    assert re.search(r"running claimed – 20[0-9: -]+ [0-9.]+ s so far – Cancel$", bar)
    assert "copying 5 MB – 20" in foo and "copying 3 MB of 12 MB – 20" in vol
    assert html.count("<progress") == 1 and f'<progress max="{12 * MB}" value="{3 * MB}"' in html
    assert 'href="/volumes/vol"' in html, "the version is not there yet, its family is"
    assert "/containers/" not in html, "nothing of foo and bar is there yet"


def test_why_one_was_undone_is_said_and_nothing_is_executed(site: Site, browser: Browser) -> None:
    site.engine.fail_next["start"] = StartFailed(HOSTILE)
    with pytest.raises(StartFailed):
        site.services.containers.create("foo", PLAIN)
    begin(site, HOSTILE, "bar", 0, step=HOSTILE, node=HOSTILE)
    html = browser.page("/operations")
    bar, foo = lines(html)
    assert foo.startswith("create foo-0 container on test-node undone – gpudock itself 20") and foo.endswith(
        f"{HOSTILE} –"
    )
    assert "<script>" not in html and bar.count(HOSTILE) == 3
    quoted = browser.get("/operations", query_string={"name": '"><script>', "after": "<script>", "state": "<script>"})
    assert quoted.status_code == 200 and "<script>" not in quoted.text


def test_the_list_is_filtered_by_state_and_name(site: Site, browser: Browser) -> None:
    assert "No operations yet." in browser.page("/operations")
    site.services.containers.create("foo", PLAIN)
    begin(site, "create", "bar", 0)
    assert [line.split()[1] for line in lines(browser.page("/operations"))] == ["bar-0", "foo-0"]
    assert [line.split()[1] for line in lines(browser.page("/operations?state=running"))] == ["bar-0"]
    assert [line.split()[1] for line in lines(browser.page("/operations?state=done"))] == ["foo-0"]
    assert [line.split()[1] for line in lines(browser.page("/operations?name=fo"))] == ["foo-0"]
    assert "No operation fits." in browser.page("/operations?state=undone")


def test_a_long_list_has_pages_that_keep_the_filter(site: Site, browser: Browser) -> None:
    for number in range(52):
        begin(site, "create", f"c{number:02}", 0).commit([])
    begin(site, "create", "running", 0)
    first = browser.page("/operations?state=done")
    assert len(lines(first)) == 50
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link and "state=done" in link[1]
    second = browser.page(unescape(link[1]))
    assert [line.split()[1] for line in lines(second)] == ["c01-0", "c00-0"] and 'rel="next"' not in second
    assert "2 older operations, newest first" in second


def test_one_is_cancelled_by_its_button(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    live = begin(site, "resize", "vol", 1, resource="volumes", owner="a-process-that-died")
    html = browser.page("/operations?name=vol")
    assert f'action="/operations/{live.operation.id}/cancel"' in html and 'aria-label="Cancel resize vol-1"' in html
    (back,) = re.findall(r'name="next" value="([^"]*)"', html)
    response = browser.submit(f"/operations/{live.operation.id}/cancel", "/operations", next=unescape(back))
    assert (response.status_code, response.headers["Location"]) == (303, "/operations?name=vol")
    after = browser.get("/operations")
    assert notices(after) == ["resize vol-1 was cancelled and undone"]
    assert lines(after.text)[0].startswith("resize vol-1 volume on test-node undone")
    assert "/cancel" not in after.text


@pytest.mark.parametrize("kind", ["delete", "stop", "start", "commit"])
def test_what_is_always_finished_has_no_button(site: Site, browser: Browser, kind: str) -> None:
    live = begin(site, kind, "foo", 0)
    begin(site, "create", "bar", 0)
    html = browser.page("/operations")
    assert html.count("/cancel") == 1 and lines(html)[1].endswith("–")
    browser.submit(f"/operations/{live.operation.id}/cancel", "/operations", next="/operations")
    (notice,) = notices(browser.get("/operations"))
    assert notice.startswith(f"a {kind}") and "is always finished" in notice


def test_a_cancellation_that_comes_too_late_or_for_nothing_is_refused(site: Site, browser: Browser) -> None:
    live = begin(site, "gpu", "foo", 1)

    def finish() -> None:
        wait_for(lambda: site.store.get(cancellation_key(live.operation.id)) is not None)
        live.commit([])

    thread = threading.Thread(target=finish)
    thread.start()
    begin(site, "create", "bar", 0)  # for a form with a token on the page
    for words in ("GPU change foo-1 was done before it could be cancelled", "the operation is done already"):
        browser.submit(f"/operations/{live.operation.id}/cancel", "/operations", next="/operations")
        response = browser.get("/operations")
        assert notices(response)[0].startswith(words) and '<p class="notice error"' in response.text
    thread.join()
    refused = browser.submit("/operations/none/cancel", "/operations", next="/operations")
    (notice,) = notices(browser.get("/operations"))
    assert notice.startswith("there is no operation 'none'")
    assert notice.endswith(f"(Request {refused.headers['X-Request-Id']})")


def test_a_second_press_of_the_button_tells_what_the_first_one_did(site: Site, browser: Browser) -> None:
    live = begin(site, "create", "foo", 0)
    site.services.operations.journal.recover(live.operation, Failure.of(Cancelled("somebody asked for it")))
    browser.submit(f"/operations/{live.operation.id}/cancel", "/images", next="/operations")
    assert notices(browser.get("/operations")) == ["create foo-0 was cancelled and undone"]


def test_one_that_takes_its_time_to_stop_is_said_to_do_so(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.operations.queries._PATIENCE", 0)
    live = begin(site, "create", "foo", 0)
    browser.submit(f"/operations/{live.operation.id}/cancel", "/operations", next="/operations")
    (notice,) = notices(browser.get("/operations"))
    assert notice == "create foo-0 is asked to stop; it is undone as soon as its present step allows"


def test_a_link_does_not_cancel_and_neither_does_another_site(site: Site, browser: Browser) -> None:
    live = begin(site, "create", "foo", 0)
    assert browser.get(f"/operations/{live.operation.id}/cancel").status_code == 405
    assert browser.client.post(f"/operations/{live.operation.id}/cancel").status_code == 400
    assert site.store.get(cancellation_key(live.operation.id)) is None


def test_without_etcd_nothing_is_known_and_without_docker_everything(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.engine.dead = True
    assert len(lines(browser.page("/operations"))) == 1
    site.store.dead = True
    response = browser.get("/operations")
    (banner,) = notices(response)
    assert response.status_code == 200 and banner.startswith("etcd does not answer.")
    assert "as last known" in banner and len(lines(response.text)) == 1
    assert "Not known at the moment." in browser.page("/operations?name=fo")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0.0 s"), (0.42, "0.4 s"), (9.97, "10 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (7500, "2 h 5 min")],
)
def test_durations_are_told_as_people_do(seconds: float, words: str) -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    assert lasted(begun.isoformat(), (begun + timedelta(seconds=seconds)).isoformat()) == words

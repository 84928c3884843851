"""Who did what and in which request, as the pages and the API tell it, over working fakes."""

import re
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.errors import StartFailed
from tests.e2e.test_pages import PLAIN, rows, text
from tests.support.site import CLOSED, TOKEN, Browser, Site
from tests.support.volumes import wait_for

ANN, BOB = "the-token-of-ann", "the-token-of-bob"


@pytest.fixture(scope="module")
def site() -> Site:
    """The container foo, made by bob through the API, restarted by ann and stopped by the operator without a name."""
    site = Site(replace(CLOSED, tokens=(("ann", ANN), ("bob", BOB))))
    body = {"imageName": PLAIN.image, "containerName": "foo", "cmd": list(PLAIN.cmd)}
    assert call(site, BOB, "POST", "/containers", body, **{"X-Request-Id": "made-it"}).status_code == 200
    for token, what in ((ANN, "restart"), (TOKEN, "stop")):
        done = site.operator(token).submit(f"/containers/foo/{what}", f"/containers/foo/{what}")
        assert done.status_code == 303, done.text
    return site


@pytest.fixture
def ann(site: Site) -> Browser:
    return site.operator(ANN)


def call(site: Site, token: str, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
    sent = {"Authorization": f"Bearer {token}", **headers}
    return site.browser().client.open(f"/api/v1{path}", method=method, json=body, headers=sent)


def operations(site: Site, query: str = "") -> list[dict[str, Any]]:
    answer = call(site, TOKEN, "GET", f"/operations{query}")
    assert answer.status_code == 200 and answer.json is not None
    found: list[dict[str, Any]] = answer.json["data"]["operations"]
    return found


def test_the_api_tells_who_asked_and_in_which_request(site: Site) -> None:
    stop, restart, create = operations(site, "?name=foo")
    assert (create["by"], create["who"], create["requestId"]) == ("api", "bob", "made-it")
    assert (restart["by"], restart["who"]) == ("page", "ann") and re.fullmatch("[0-9a-f]{32}", restart["requestId"])
    assert (stop["by"], stop["who"]) == ("page", None)
    assert operations(site, "?who=ann") == [restart] and operations(site, "?who=nobody") == []


def test_the_list_of_operations_tells_it_and_can_be_filtered_by_it(ann: Browser) -> None:
    whole = ann.page("/operations?name=foo")
    told = [text(cell) for cell in re.findall(r'<td data-label="By".*?</td>', whole, re.DOTALL)]
    assert told == ["these pages", "ann, by these pages", "bob, by the API"]
    assert 'option value="bob">bob' in whole and "made-it" not in whole
    shown = ann.page("/operations?who=bob&name=foo")
    assert list(rows(shown)) == ["create"] and 'option value="bob" selected>bob' in shown
    assert "No operation fits." in ann.page("/operations?who=carl")
    assert 'name="who"' not in Site().browser().page("/operations"), "there is nobody with a name"


def test_the_page_of_an_operation_tells_it(site: Site, ann: Browser) -> None:
    (made,) = operations(site, "?who=bob&name=foo")
    shown = text(ann.page(f"/operations/{made['id']}"))
    assert "Asked for by bob, by the API" in shown and "Request id made-it" in shown


def test_the_timeline_and_the_events_tell_it(ann: Browser) -> None:
    html = ann.page("/containers/foo")
    (version,) = re.findall(r'<li id="version-0".*?</li>', html, re.DOTALL)
    assert "create · bob, by the API · own files" in text(version)
    by = [text(cell) for cell in re.findall(r'<td data-label="By".*?</td>', html, re.DOTALL)]
    assert by == ["these pages", "ann, by these pages", "bob, by the API"]


def test_a_change_that_fails_in_the_background_is_found_by_its_request(site: Site, ann: Browser) -> None:
    site.services.containers.create("bar", PLAIN)
    site.engine.fail_next["start"] = StartFailed("no space")
    headers = {"Prefer": "respond-async", "X-Request-Id": "grow-77"}
    assert call(site, BOB, "PATCH", "/containers/bar/gpu", {"gpuCount": 1}, **headers).status_code == 202
    wait_for(lambda: operations(site, "?name=bar-1")[0]["state"] == "undone")
    (failed,) = operations(site, "?name=bar-1")
    assert (failed["who"], failed["requestId"], failed["error"]) == ("bob", "grow-77", "no space")
    (alerts,) = re.findall(r'<ul class="alerts">(.*?)</ul>', ann.page("/"), re.DOTALL)
    assert "failed bar-1 GPU change: no space Request id grow-77" in text(alerts)
    for page in ("/operations?name=bar-1", "/containers/bar", f"/operations/{failed['id']}"):
        shown = text(ann.page(page))
        assert "no space" in shown and "Request id grow-77" in shown, page

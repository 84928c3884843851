"""The pages, as their HTML tells them, over working fakes."""

import re
from dataclasses import replace
from html import unescape

import pytest
from werkzeug.test import TestResponse

from app.model.container import Bind, Spec
from app.model.gpu import Holder
from app.model.names import parse
from app.model.operation import Operation, new_id, now
from app.operations.base import Plan
from tests.support.site import CLOSED, Browser, Site

PLAIN = Spec(image="busybox:test", cmd=("sh",))
HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def browser(site: Site) -> Browser:
    return site.browser()


def rows(html: str) -> dict[str, str]:
    """The rows of a page's tables by their heading cell, as plain text."""
    found = re.findall(r'<tr[^>]*>\s*<th scope="row">(.*?)</th>(.*?)</tr>', html, re.DOTALL)
    return {text(head): text(rest) for head, rest in found}


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def cells(html: str) -> dict[str, str]:
    """The overview's cells by their GPU, as plain text."""
    found = re.findall(r'<li class="gpu-cell.*?<h3>(.*?)</h3>(.*?)</li>', html, re.DOTALL)
    return {text(head): text(rest) for head, rest in found}


def notices(response: TestResponse) -> list[str]:
    return [text(found) for found in re.findall(r'<p class="notice.*?</p>', response.text, re.DOTALL)]


def test_an_empty_node_says_so(browser: Browser) -> None:
    html = browser.page("/")
    assert "8 of 8 free" in html and "No containers yet." in html and "Nothing: all is as it should be." in html
    assert cells(html)["GPU 0"].startswith("free Simulated GPU Held by –")
    assert "No containers yet." in browser.page("/containers")


def test_a_node_without_gpus_says_so() -> None:
    browser = Site(replace(CLOSED, token=None, simulated_gpus=0)).browser()
    assert "This node has no GPUs." in browser.page("/")
    assert "This node has no GPUs." in browser.page("/gpus")


def test_what_callers_wrote_is_shown_and_never_executed(site: Site, browser: Browser) -> None:
    image = "img/" + "x" * 150
    site.engine.images[image] = site.engine.images["busybox:test"]
    site.services.containers.create("foo", replace(PLAIN, image=image, env=(f"X={HOSTILE}",), cmd=("echo", HOSTILE)))
    site.inventory.changes = {0: {"model": HOSTILE, "fault": HOSTILE}}
    for path in ("/", "/gpus", "/containers/foo-0"):
        html = browser.page(path)
        assert "<script>" not in html and "alert(1)" in html, path
    quoted = browser.get("/containers", query_string={"name": '"><script>', "after": "<script>", "state": "<script>"})
    assert quoted.status_code == 200 and "<script>" not in quoted.text
    missing = browser.get("/containers/<script>")
    assert missing.status_code == 400 and "<script>" not in missing.text


def test_a_button_leads_to_no_other_site(site: Site, browser: Browser) -> None:
    response = browser.submit(f"/gpus/{site.inventory.uuids()[0]}/drain", "/gpus", next="//evil.example")
    assert response.headers["Location"] == "/"


def test_a_gpu_of_a_container_in_the_making_has_no_link(site: Site, browser: Browser) -> None:
    uuid = site.inventory.uuids()[3]
    operation = Operation(new_id(), "create", "foo", 0, "test-node", "this-process", now(), gpus=(uuid,))
    holder = Holder("foo", 0, operation.id)
    claims = site.services.containers.records.put_claims(holder, operation.gpus, ())
    assert site.services.operations.journal.begin(Plan(operation=operation, writes=claims))
    assert cells(browser.page("/"))["GPU 3"].startswith("in use Simulated GPU Held by foo-0 being made")
    assert "/containers/foo" not in browser.page("/")


def test_without_etcd_the_pages_say_that_nothing_is_known(site: Site, browser: Browser) -> None:
    site.store.dead = True
    for path in ("/", "/containers", "/gpus"):
        response = browser.get(path)
        (banner,) = notices(response)
        assert response.status_code == 200 and banner.startswith("etcd does not answer.")
        assert "Not known at the moment." in response.text
        assert "all is as it should be" not in response.text


def test_etcd_may_go_away_while_docker_is_down(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.engine.dead = True
    site.store.fail_next("unavailable", skip=3)  # the GPUs' claims and the first reading of the records work
    assert len(notices(browser.get("/"))) == 2


def test_errors_are_pages_with_a_request_id_and_a_way_home(site: Site, browser: Browser) -> None:
    for path, status in (("/containers/nope", 404), ("/nothing", 404), ("/containers/foo-x", 400)):
        response = browser.get(path)
        assert response.status_code == status and response.mimetype == "text/html", path
        assert response.headers["X-Request-Id"] in response.text and '<a href="/">' in response.text
        assert response.headers["Content-Security-Policy"]


def full_site() -> Site:
    """A site with a login, two versions of a container and of its volume, and a running operation on that."""
    site = Site(CLOSED)
    site.services.volumes.create("vol", "1MB")
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1, binds=(Bind("vol-0", "/vol"),)))
    site.services.containers.change_gpus(parse("foo"), 2)
    site.services.volumes.resize(parse("vol"), "2MB")
    operation = Operation(new_id(), "resize", "vol", 2, "test-node", "this-process", now(), resource="volumes")
    assert site.services.operations.journal.begin(Plan(operation=replace(operation, done=1, total=2)))
    return site


def test_every_page_has_a_title_one_main_heading_and_tables_that_can_be_read_aloud() -> None:
    site = full_site()
    titles = set()
    inside = ("/", "/gpus", "/containers", "/containers/foo-0", "/volumes", "/volumes/vol-0", "/operations", "/nothing")
    for browser, path in (
        *((site.operator(), path) for path in inside),
        (site.browser(), "/login"),
    ):
        html = browser.get(path).text
        titles.update(re.findall(r"<title>(.+?) · gpudock</title>", html))
        assert html.count("<h1") == 1 and 'lang="en"' in html and "style=" not in html, path
        tables = re.findall(r"<table.*?</table>", html, re.DOTALL)
        assert all("<caption>" in table and 'scope="col"' in table and 'scope="row"' in table for table in tables), path
        assert len(re.findall(r"<(?:input|select)(?![^>]*hidden)", html)) == html.count("<label"), path
        assert all("aria-label" in bar for bar in re.findall(r"<(?:meter|progress)[^>]*>", html)), path
    assert len(titles) == 9


def test_every_link_on_the_pages_leads_somewhere() -> None:
    site = full_site()
    operator, seen, waiting = site.operator(), set[str](), ["/"]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        prefers = re.search(r"[?&](lang|theme)=", path)
        with operator.get(path) as response:
            assert response.status_code == (302 if prefers else 200), path
            found = re.findall(r'(?:href|src)="(/[^"]*)"', response.text) if response.mimetype == "text/html" else []
        waiting += sorted({unescape(link) for link in found} - seen - set(waiting))
    assert {"/", "/gpus", "/containers", "/containers/foo", "/containers/foo-0", "/api/docs"} <= seen
    assert {"/volumes", "/volumes/vol", "/volumes/vol-0", "/volumes/vol-1", "/operations"} <= seen

"""The pages, as their HTML tells them, over working fakes."""

import re
from dataclasses import replace
from html import unescape

import pytest
from werkzeug.test import TestResponse

from app.domain.containers import Bind, PortMapping, Spec
from app.domain.gpus import GpuProcess
from app.domain.naming import parse
from app.domain.operations import Operation, new_id, now
from app.errors import StopFailed, Unavailable
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


def notices(response: TestResponse) -> list[str]:
    return [text(found) for found in re.findall(r'<p class="notice.*?</p>', response.text, re.DOTALL)]


def test_an_empty_node_says_so(browser: Browser) -> None:
    html = browser.page("/")
    assert "8 of 8 free" in html and "No containers yet." in html
    assert rows(html)["GPU 0"].startswith("free –")
    assert "No containers yet." in browser.page("/containers")


def test_a_node_without_gpus_says_so() -> None:
    browser = Site(replace(CLOSED, token=None, simulated_gpus=0)).browser()
    assert "This node has no GPUs." in browser.page("/")
    assert "This node has no GPUs." in browser.page("/gpus")


def test_the_overview_shows_gpus_with_their_holders_and_containers_with_their_gpus(
    site: Site, browser: Browser
) -> None:
    site.services.creator.create("foo", replace(PLAIN, gpu_count=2, ports=(PortMapping(2333, 22),)))
    html = browser.page("/")
    held = sorted(name for name, row in rows(html).items() if row.startswith("in use foo-0"))
    assert len(held) == 2 and "6 of 8 free" in html
    indexes = " ".join(name.removeprefix("GPU ") for name in held)
    assert f"running busybox:test {indexes} 2333 → 22 0 test-node Stop Restart" in rows(html)["foo-0"].replace(
        "\u202f", " "
    )
    assert '<a href="/containers/foo">' in html


def test_sick_and_foreign_gpus_are_shown_with_the_reason_and_missing_readings_as_dashes(
    site: Site, browser: Browser
) -> None:
    site.inventory.changes = {
        1: {"fault": "fell off the bus", "memory_used": None, "utilisation": None, "temperature": None, "power": None},
        2: {"processes": (GpuProcess(4242, None, None),)},
    }
    for path in ("/", "/gpus"):
        shown = rows(browser.page(path))
        assert re.match(r"unhealthy fell off the bus – Simulated GPU – – –", shown["GPU 1"]), shown["GPU 1"]
        assert shown["GPU 2"].startswith("in use by others used by processes that gpudock did not start: 4242")
    assert "6 of 8 free" in browser.page("/")


def test_the_container_page_shows_every_setting_and_the_versions_newest_first(site: Site, browser: Browser) -> None:
    site.engine.volumes.add("veil-0")
    binds = (Bind("veil-0", "/root/veil"), Bind("/data/foo", "/root/data"))
    site.services.creator.create(
        "foo", replace(PLAIN, gpu_count=1, binds=binds, env=("USER=foo", "PASSWORD=secret"), cmd=("sh", "-c", "true"))
    )
    site.services.changer.gpus(parse("foo"), 2)
    html = browser.page("/containers/foo-1")
    shown = text(html)
    for setting in ("busybox:test", "veil-0 at /root/veil", "/data/foo at /root/data", "USER=foo", "PASSWORD=secret"):
        assert setting in shown
    assert '["sh", "-c", "true"]' in shown
    assert [uuid for uuid in site.inventory.uuids() if uuid in shown] == [
        view.gpu.uuid for view in site.services.gpus.all() if view.holder
    ]
    versions = rows(html)
    assert list(versions) == ["foo-1", "foo-0"]
    assert versions["foo-1"].startswith("running GPU change foo-0 20")
    assert versions["foo-0"].startswith("stopped create – 20")


def test_the_family_s_page_is_that_of_its_newest_version_and_old_ones_have_no_buttons(
    site: Site, browser: Browser
) -> None:
    site.services.creator.create("foo", PLAIN)
    site.services.changer.gpus(parse("foo"), 1)
    assert "<title>foo-1 · gpudock</title>" in browser.page("/containers/foo")
    assert "Stop foo-1" in browser.page("/containers/foo")
    old = browser.page("/containers/foo-0")
    assert "This is an older version." in old and "/stop" not in old and "/restart" not in old


def test_the_output_is_shown_without_what_only_a_terminal_understands(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    (container,) = site.engine.containers.values()
    container.output = f"\x1b[1;31mred\x1b[0m\r\n\x1b]0;title\x07{HOSTILE}\x00\x1b(B\x9b\n"
    html = browser.page("/containers/foo-0")
    pre = re.search(r"<pre[^>]*>(.*?)</pre>", html, re.DOTALL)
    assert pre and unescape(pre[1]) == f"red\n{HOSTILE}\n"


def test_a_log_that_cannot_be_read_does_not_hide_the_rest(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    site.engine.fail_next["logs"] = Unavailable("docker", "Docker is too slow")
    html = browser.page("/containers/foo-0")
    assert "The log cannot be read: Docker is too slow" in html and "busybox:test" in html


def test_what_callers_wrote_is_shown_and_never_executed(site: Site, browser: Browser) -> None:
    image = "img/" + "x" * 150
    site.engine.images[image] = site.engine.images["busybox:test"]
    site.services.creator.create("foo", replace(PLAIN, image=image, env=(f"X={HOSTILE}",), cmd=("echo", HOSTILE)))
    site.inventory.changes = {0: {"model": HOSTILE, "fault": HOSTILE}}
    for path in ("/", "/gpus", "/containers/foo-0"):
        html = browser.page(path)
        assert "<script" not in html and "alert(1)" in html, path
    assert f"X={HOSTILE}" in text(browser.page("/containers/foo-0"))
    quoted = browser.get("/containers", query_string={"name": '"><script>', "after": "<script>", "state": "<script>"})
    assert quoted.status_code == 200 and "<script" not in quoted.text
    missing = browser.get("/containers/<script>")
    assert missing.status_code == 400 and "<script" not in missing.text


def test_the_volumes_of_a_container_are_linked_where_they_have_a_page(site: Site, browser: Browser) -> None:
    site.services.volumes.creator.create("veil", "1MB")
    site.engine.volumes.add("foreign-0")
    binds = (Bind("veil-0", "/veil"), Bind("foreign-0", "/foreign"), Bind("/data/foo", "/foo"))
    site.services.creator.create("foo", replace(PLAIN, binds=binds))
    html = browser.page("/containers/foo")
    assert re.findall(r'href="(/volumes/[^"]*)"', html) == ["/volumes/veil-0"]
    assert "veil-0 at /veil foreign-0 at /foreign /data/foo at /foo" in text(html)


def test_going_back_to_an_older_version_makes_the_next_one(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", replace(PLAIN, gpu_count=1))
    site.services.changer.gpus(parse("foo"), 3)
    assert "Go back to this version" not in browser.page("/containers/foo")
    old = text(browser.page("/containers/foo-0"))
    assert "Go back to this version Makes foo-2 with the files and settings of foo-0 and starts it; " in old
    assert "foo-1 is stopped and kept, and volumes are mounted as they are." in old
    response = browser.submit("/containers/foo-0/rollback", "/containers/foo-0", next="/containers/foo")
    assert (response.status_code, response.headers["Location"]) == (302, "/containers/foo")
    after = browser.get("/containers/foo")
    assert notices(after) == ["foo-2 runs with the files and settings of foo-0"]
    shown = rows(after.text)
    assert list(shown) == ["foo-2", "foo-1", "foo-0"] and shown["foo-1"].startswith("stopped")
    assert shown["foo-2"].startswith("running rollback foo-0") and shown["foo-2"].endswith(" 1")


@pytest.mark.parametrize("lost", ["removed", "missing"])
def test_there_is_no_way_back_to_a_version_whose_files_are_gone(site: Site, browser: Browser, lost: str) -> None:
    identity = site.services.creator.create("foo", PLAIN).id
    site.services.changer.gpus(parse("foo"), 1)
    if lost == "removed":
        site.services.deleter.delete(parse("foo-0"), force=True, erase=False)
    else:
        site.engine.remove(identity)
    html = browser.page("/containers/foo-0")
    assert f"foo-0 {lost}" in text(html) and "/rollback" not in html
    browser.submit("/containers/foo-0/rollback", "/containers/foo", next="/containers/foo")
    (notice,) = notices(browser.get("/containers/foo"))
    assert "foo-0 was" in notice and next(iter(rows(browser.page("/containers/foo")))) == "foo-1"


def test_stop_and_restart_go_back_and_say_what_happened(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", replace(PLAIN, gpu_count=1))
    response = browser.submit("/containers/foo-0/stop", "/", next="/containers?name=foo")
    assert (response.status_code, response.headers["Location"]) == (302, "/containers?name=foo")
    assert notices(browser.get("/")) == ["foo-0 is stopped; its GPUs are free"]
    assert rows(browser.page("/"))["foo-0"].startswith("stopped busybox:test none of 1")
    assert "Stop foo-0" not in browser.page("/")
    browser.submit("/containers/foo-0/restart", "/", next="/")
    assert notices(browser.get("/")) == ["foo-1 runs"]
    assert notices(browser.get("/")) == []


def test_the_buttons_come_back_to_the_page_they_were_on(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    for path, back in (
        ("/", "/"),
        ("/containers?state=running", "/containers?state=running"),
        ("/containers/foo-0", "/containers/foo"),
    ):
        assert set(re.findall(r'name="next" value="([^"]*)"', browser.page(path))) == {back}


def test_a_button_leads_to_no_other_site(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    response = browser.submit("/containers/foo-0/restart", "/", next="//evil.example")
    assert response.headers["Location"] == "/"


def test_what_is_refused_or_fails_is_said(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    site.services.changer.gpus(parse("foo"), 1)
    for name, words in (("foo-0", "foo-0 is not the newest version; use foo-1"), ("bar", "there is no container bar")):
        browser.submit(f"/containers/{name}/stop", "/", next="/")
        (notice,) = notices(browser.get("/"))
        assert words in notice
    site.engine.fail_next["stop"] = StopFailed("Docker would not")
    browser.submit("/containers/foo-1/stop", "/", next="/")
    assert notices(browser.get("/")) == ["foo-1 could not be stopped: Docker would not"]


@pytest.mark.parametrize("action", ["stop", "restart", "rollback"])
def test_a_link_does_not_stop_or_restart_or_go_back(site: Site, browser: Browser, action: str) -> None:
    site.services.creator.create("foo", PLAIN)
    assert browser.get(f"/containers/foo-0/{action}").status_code == 405
    assert browser.client.post(f"/containers/foo-0/{action}").status_code == 400
    assert site.engine.calls[-1][0] == "start"


def test_the_list_is_filtered_by_name_and_state(site: Site, browser: Browser) -> None:
    for family in ("alpha", "beta", "alphabet"):
        site.services.creator.create(family, PLAIN)
    site.services.lifecycle.stop(parse("alphabet"))
    assert list(rows(browser.page("/containers"))) == ["alpha-0", "alphabet-0", "beta-0"]
    assert list(rows(browser.page("/containers?name=alpha"))) == ["alpha-0", "alphabet-0"]
    assert list(rows(browser.page("/containers?name=alpha&state=stopped"))) == ["alphabet-0"]
    assert "No container fits." in browser.page("/containers?name=gamma")
    assert list(rows(browser.page("/containers?name=&state="))) == ["alpha-0", "alphabet-0", "beta-0"]


def test_a_long_list_has_pages_that_keep_the_filter(site: Site, browser: Browser) -> None:
    for number in range(52):
        site.services.creator.create(f"c{number:02}", PLAIN)
    first = browser.page("/containers?state=running")
    assert len(rows(first)) == 50
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link and "state=running" in link[1]
    second = browser.page(unescape(link[1]))
    assert list(rows(second)) == ["c50-0", "c51-0"] and 'rel="next"' not in second
    assert "All containers" in browser.page("/")


@pytest.mark.parametrize("state", ["missing", "removed", "exited", "paused"])
def test_every_state_has_its_word_and_only_buttons_that_can_work(site: Site, browser: Browser, state: str) -> None:
    site.services.creator.create("foo", PLAIN)
    (container,) = site.engine.containers.values()
    if state == "missing":
        site.engine.remove(container.id)
    elif state == "removed":
        site.services.deleter.delete(parse("foo-0"), force=True, erase=False)
    else:
        container.state = state
    row = rows(browser.page("/"))["foo-0"]
    buttons = {"missing": "", "removed": "Restart", "exited": "Stop Restart", "paused": "Stop Restart"}[state]
    assert row.startswith(state) and row.endswith(f"test-node {buttons}".strip())
    assert browser.get("/containers/foo-0").status_code == 200


def test_a_container_of_another_node_is_listed_but_not_touched(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    other = Site(replace(CLOSED, token=None, node="other-node"))
    other.store._data, other.store._revision = site.store._data, site.store._revision
    html = other.browser().page("/")
    assert rows(html)["foo-0"].startswith("remote") and "/containers/foo" not in html
    response = other.browser().get("/containers/foo-0")
    assert response.status_code == 409 and "test-node" in response.text


def test_a_gpu_of_a_container_in_the_making_has_no_link(site: Site, browser: Browser) -> None:
    uuid = site.inventory.uuids()[3]
    operation = Operation(new_id(), "create", "foo", 0, "test-node", "this-process", now(), gpus=(uuid,))
    assert site.services.creator.versions.begin(operation, 0)
    assert rows(browser.page("/"))["GPU 3"].startswith("in use foo-0 being made")
    assert "/containers/foo" not in browser.page("/")


def test_without_docker_the_gpus_and_the_records_are_still_shown(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", replace(PLAIN, gpu_count=1))
    site.engine.dead = True
    response = browser.get("/")
    (banner,) = notices(response)
    assert banner.startswith("Docker does not answer.") and "unix:///nowhere.sock" in banner
    shown = rows(response.text)
    assert shown["foo-0"].startswith("unknown busybox:test") and "7 of 8 free" in response.text
    assert "/stop" not in response.text
    assert "No container fits." in browser.page("/containers?name=bar")


def test_without_nvml_the_containers_are_still_shown(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", replace(PLAIN, gpu_count=1))
    site.inventory.error = Unavailable("nvml", "the driver is not loaded")
    for path in ("/", "/containers"):
        response = browser.get(path)
        (banner,) = notices(response)
        assert banner.startswith("NVML does not answer.") and "the driver is not loaded" in banner
        assert rows(response.text)["foo-0"].startswith("running busybox:test GPU-")
    assert "GPU-" in browser.page("/containers/foo-0")
    assert "Not known at the moment." in browser.page("/gpus")


def test_without_etcd_the_overview_says_that_nothing_is_known(site: Site, browser: Browser) -> None:
    site.store.dead = True
    for path in ("/", "/containers", "/gpus"):
        response = browser.get(path)
        (banner,) = notices(response)
        assert response.status_code == 200 and banner.startswith("etcd does not answer.")
        assert "Not known at the moment." in response.text


def test_etcd_may_go_away_while_docker_is_down(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    site.engine.dead = True
    site.store.fail_next("unavailable", skip=3)  # the GPUs' claims and the first reading of the records work
    assert len(notices(browser.get("/"))) == 2


def test_errors_are_pages_with_a_request_id_and_a_way_home(site: Site, browser: Browser) -> None:
    for path, status in (("/containers/nope", 404), ("/nothing", 404), ("/containers/foo-x", 400)):
        response = browser.get(path)
        assert response.status_code == status and response.mimetype == "text/html", path
        assert response.headers["X-Request-Id"] in response.text and '<a href="/">' in response.text
        assert response.headers["Content-Security-Policy"]


def test_a_part_that_is_down_is_named_on_the_error_page(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    site.engine.dead = True
    response = browser.get("/containers/foo-0")
    assert response.status_code == 503 and "does not answer" in response.text


def full_site() -> Site:
    """A site with a login, two versions of a container and of its volume, and a running operation on that."""
    site = Site(CLOSED)
    site.services.volumes.creator.create("vol", "1MB")
    site.services.creator.create("foo", replace(PLAIN, gpu_count=1, binds=(Bind("vol-0", "/vol"),)))
    site.services.changer.gpus(parse("foo"), 2)
    site.services.volumes.resizer.resize(parse("vol"), "2MB")
    operation = Operation(new_id(), "resize", "vol", 2, "test-node", "this-process", now(), resource="volumes")
    assert site.services.journal.begin(replace(operation, done=1, total=2), {})
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
        with operator.get(path) as response:
            assert response.status_code == 200, path
            found = re.findall(r'(?:href|src)="(/[^"]*)"', response.text) if response.mimetype == "text/html" else []
        waiting += sorted({unescape(link) for link in found} - seen - set(waiting))
    assert {"/", "/gpus", "/containers", "/containers/foo", "/containers/foo-0", "/api/docs"} <= seen
    assert {"/volumes", "/volumes/vol", "/volumes/vol-0", "/volumes/vol-1", "/operations"} <= seen

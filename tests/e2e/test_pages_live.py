"""What all pages share: parts that keep themselves up to date, the language, the colours, and a strict policy."""

import re
from dataclasses import replace

import pytest

from app.errors import GpuChangeFailed, StartFailed
from app.model.names import parse
from app.model.operation import Operation, new_id, now
from app.operations.base import Plan
from tests.e2e.test_pages import PLAIN, browser, cells, rows, site, text
from tests.support.site import CLOSED, Browser, Site

__all__ = ["browser", "site"]
HTMX = {"HX-Request": "true"}
CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}


def part_of(html: str) -> tuple[str, str]:
    """The address of a page's live part, and the tag of what it shows."""
    found = re.search(r'<div id="live" hx-get="([^"]*)".*?data-etag=\'("[^"]*")\'', html, re.DOTALL)
    assert found, "the page has no live part"
    return found[1], found[2]


@pytest.mark.parametrize("path", ["/", "/gpus", "/gpus/UUID"])
def test_a_part_is_sent_only_if_it_changed(site: Site, browser: Browser, path: str) -> None:
    path = path.replace("UUID", site.inventory.uuids()[0])
    address, tag = part_of(browser.page(path))
    assert address == path
    unchanged = browser.get(address, headers={**HTMX, "If-None-Match": tag})
    assert unchanged.status_code == 304 and not unchanged.data
    site.inventory.changes = {0: {"utilisation": 87}}
    changed = browser.get(address, headers={**HTMX, "If-None-Match": tag})
    assert changed.status_code == 200 and "87" in changed.text and "<html" not in changed.text
    assert changed.headers["ETag"] not in (None, tag) and "no-store" in changed.headers["Cache-Control"]
    again = browser.get(address, headers={**HTMX, "If-None-Match": changed.headers["ETag"]})
    assert again.status_code == 304


def test_a_part_keeps_the_query_and_eats_no_message(site: Site, browser: Browser) -> None:
    assert part_of(browser.page("/gpus?x=1"))[0] == "/gpus?x=1"
    browser.submit(f"/gpus/{site.inventory.uuids()[3]}/drain", "/gpus", next="/gpus")
    assert "is out of service" not in browser.get("/gpus", headers=HTMX).text.replace("Out of service since", "")
    assert "GPU 3 is out of service" in browser.page("/gpus")


def test_the_pages_run_only_scripts_of_their_own_files(browser: Browser, site: Site) -> None:
    for path in ("/", "/gpus", f"/gpus/{site.inventory.uuids()[0]}", "/nothing"):
        response = browser.get(path)
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", response.text, re.DOTALL)
        assert scripts and all(
            re.fullmatch(r' src="/static/[^"]+" defer', found) and not inside for found, inside in scripts
        )
        assert not re.search(r'\s(style|on\w+|hx-on[^=]*)="', response.text), path
        assert '"allowEval": false' in response.text and '"includeIndicatorStyles": false' in response.text


def test_the_browser_s_language_is_spoken(browser: Browser) -> None:
    english, chinese = browser.get("/").text, browser.get("/", headers=CHINESE).text
    assert (
        '<html lang="en"' in english and "Overview" in english and 'lang="zh-CN" hreflang="zh-CN">中文</a>' in english
    )
    assert '<html lang="zh-CN"' in chinese and "概览" in chinese and 'hreflang="en">English</a>' in chinese
    assert "Overview" not in chinese.replace("pages.index", "")
    assert '<html lang="en"' in browser.get("/", headers={"Accept-Language": "fr"}).text
    assert '<html lang="zh-CN"' in browser.get("/", headers={"Accept-Language": "zh-TW"}).text


def test_a_language_and_colours_are_chosen_and_stay(browser: Browser) -> None:
    html = browser.page("/gpus?x=1&x=2")
    assert "/gpus?x=1&amp;x=2&amp;lang=zh-CN" in html and "/gpus?x=1&amp;x=2&amp;theme=dark" in html
    answer = browser.get("/gpus?x=1&x=2&lang=zh-CN")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/gpus?x=1&x=2")
    cookie = answer.headers["Set-Cookie"]
    assert "lang=zh-CN" in cookie and "SameSite=Lax" in cookie and "HttpOnly" in cookie
    browser.get("/?theme=dark")
    html = browser.page("/")
    assert '<html lang="zh-CN" data-theme="dark">' in html and 'name="color-scheme" content="dark"' in html
    assert browser.get("/?lang=xx&theme=pink").status_code == 200


def test_a_stranger_may_choose_too_but_goes_nowhere_else(browser: Browser) -> None:
    stranger = Site(CLOSED).browser()
    assert stranger.get("/login?next=/gpus&lang=zh-CN").headers["Location"] == "/login?next=%2Fgpus"
    assert '<html lang="zh-CN"' in stranger.page("/login?next=/gpus")
    crafted = {"PATH_INFO": "//evil.example/", "QUERY_STRING": "lang=zh-CN"}
    assert browser.get("/", environ_overrides=crafted).headers["Location"] == "/evil.example/"


def test_kinds_states_and_numbers_are_translated(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    operation = Operation(new_id(), "resize", "vol", 1, "test-node", "this-process", now(), resource="volumes")
    assert site.services.operations.journal.begin(Plan(operation=replace(operation, done=1 << 20, total=2 << 20)))
    shown = browser.get("/", headers=CHINESE).text
    assert "空闲" in cells(shown)["GPU 0"] and rows(shown)["调整大小"].startswith("vol-1")
    assert "1 MB" in rows(shown)["调整大小"] and "free" not in text(shown)


def test_the_overview_says_what_needs_attention_and_leads_there(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.services.containers.create("bar", replace(PLAIN, gpu_count=1))
    site.services.containers.create("baz", PLAIN)
    made = {one.name: key for key, one in site.engine.containers.items()}
    del site.engine.containers[made["foo-0"]]
    site.engine.containers[made["baz-0"]].state = "exited"
    site.engine.fail_next["start"] = StartFailed("no space")
    with pytest.raises(GpuChangeFailed):
        site.services.containers.change_gpus(parse("bar"), 2)
    free = next(view.gpu for view in site.services.gpus.all() if view.free)
    site.inventory.changes = {free.index: {"fault": "fell off the bus"}}
    site.volumes.free = 1 << 20
    found = [text(one) for one in re.findall(r'<ul class="alerts">(.*?)</ul>', browser.page("/"), re.DOTALL)]
    (shown,) = found
    assert f"unhealthy GPU {free.index} fell off the bus" in shown
    assert "disk nearly full /var/lib/docker 1 MB of 2 TB are free" in shown
    assert "missing foo-0 Docker has no container" in shown and "failed bar-1 GPU change: no space" in shown
    html = browser.page("/")
    ways = ("/containers/foo-0", "/containers/baz-0/restart", "/operations?name=bar-1", "/images")
    for way in (f"/gpus/{free.uuid}", *ways):
        assert f'href="{way}"' in html and browser.get(way).status_code == 200


def test_the_overview_counts_containers_and_shows_what_goes_on(site: Site, browser: Browser) -> None:
    for name in ("a", "b", "c"):
        site.services.containers.create(name, PLAIN)
    site.services.containers.stop(parse("b"))
    operation = Operation(new_id(), "gpu", "a", 1, "test-node", "this-process", now())
    assert site.services.operations.journal.begin(
        Plan(operation=replace(operation, done=1 << 30, total=4 << 30, step="copy"))
    )
    html = browser.page("/")
    tally = [text(one) for one in re.findall(r'<ul class="tally">(.*?)</ul>', html, re.DOTALL)]
    assert tally == ["2 running 1 stopped"] and 'href="/containers?state=running"' in html
    assert rows(html)["GPU change"].startswith("a-1 copy 1 GB of 4 GB")
    assert '<progress max="4294967296" value="1073741824" aria-label="progress of a-1">' in html
    assert "Going on now" not in Site().browser().page("/")

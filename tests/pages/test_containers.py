"""The list of containers and the page of one, as their HTML tells them, over working fakes."""

import re
from dataclasses import replace
from html import unescape

import pytest

from app.errors import Unavailable
from app.model.container import Bind, PortMapping
from app.model.names import parse
from app.model.operation import Operation, new_id, now
from app.operations.base import Plan
from app.ports import Put
from app.state.codec import encode
from app.state.keys import CONTAINERS, version_key
from tests.pages.conftest import Clock
from tests.pages.test_pages import HOSTILE, PLAIN, browser, notices, rows, site, text
from tests.support.site import CLOSED, Browser, Site
from tests.support.volumes import wait_for

__all__ = ["browser", "site"]
MB = 1 << 20


def steps(html: str) -> dict[str, str]:
    """The versions of the timeline by their names, as plain text, the newest first."""
    found = re.findall(
        r'<li id="version-\d+".*?<strong>(.*?)</strong></a>(.*?)</li>\s*(?=<li id="version|</ol>)', html, re.DOTALL
    )
    return {name: text(rest) for name, rest in found}


def links(html: str) -> set[str]:
    """What can be done with a container: the ends of the addresses that its page leads to."""
    (bar,) = re.findall(r'</h1>.*?<div class="actions">(.*?)</div>', html, re.DOTALL)
    return set(re.findall(r'href="/containers/[^"/]*/(\w+)"', bar))


def order(html: str) -> list[str]:
    return [name.rpartition("-")[0] for name in rows(html)]


def grow(site: Site, name: str = "foo") -> None:
    """A container with two versions: with one GPU, then with three."""
    site.services.containers.create(name, replace(PLAIN, gpu_count=1))
    site.services.containers.change_gpus(parse(name), 3)


def test_the_list_tells_all_that_is_known_of_each(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=2, ports=(PortMapping(2333, 22),)))
    (container,) = site.engine.containers.values()
    site.engine.layers[container.upper_dir]["/root/x"] = "x" * (3 * MB)
    wait_for(lambda: "3 MB" in browser.page("/containers"))
    html = browser.page("/containers")
    held = " ".join(str(view.gpu.index) for view in site.services.gpus.all() if view.holder)
    row = rows(html)["foo-0"].replace("\u202f", " ")
    assert re.fullmatch(rf"running busybox:test {held} 2333 → 22 0 20[0-9: -]+ 3 MB test-node Stop… Restart…", row)
    assert "<title>Containers · gpudock</title>" in html and "<caption>1 container</caption>" in html
    assert 'href="/containers/foo"' in html and 'href="/create/container"' in html


def test_an_empty_list_and_filters_that_nothing_fits_look_different(site: Site, browser: Browser) -> None:
    assert "No containers yet." in browser.page("/containers?name=gamma")
    site.services.containers.create("foo", PLAIN)
    html = browser.page("/containers?name=gamma")
    assert "No container fits." in html and "Show all" in html and 'value="gamma"' in html
    site.store.dead = True
    response = site.browser().get("/containers?name=new")
    (banner,) = notices(response)
    assert banner.startswith("etcd does not answer.") and "No container fits." in response.text


def test_the_list_is_filtered_by_what_stands_in_its_address(site: Site, browser: Browser) -> None:
    site.engine.images["other:1"] = site.engine.images["busybox:test"]
    for family, count, image in (("alpha", 1, "busybox:test"), ("Beta", 0, "other:1"), ("alphabet", 2, "other:1")):
        site.services.containers.create(family, replace(PLAIN, gpu_count=count, image=image))
    site.services.containers.stop(parse("alphabet"))
    (gpu,) = (view.gpu.uuid for view in site.services.gpus.all() if view.holder)
    for query, families in (
        ("", ["alpha", "alphabet", "Beta"]),
        ("name=ALPHA", ["alpha", "alphabet"]),
        ("name=alpha&state=stopped", ["alphabet"]),
        ("gpu=with", ["alpha"]),
        ("gpu=without", ["alphabet", "Beta"]),
        (f"gpu={gpu}", ["alpha"]),
        ("image=other:1", ["alphabet", "Beta"]),
        ("node=test-node&image=other:1&state=running", ["Beta"]),
        ("name=&state=&gpu=&node=", ["alpha", "alphabet", "Beta"]),
        ("state=nonsense", ["alpha", "alphabet", "Beta"]),
    ):
        assert order(browser.page(f"/containers?{query}")) == families, query
    assert "1 of 3 containers" in browser.page("/containers?gpu=with")
    assert '<option value="other:1" selected>' in browser.page("/containers?image=other:1")


def test_the_list_is_sorted_by_the_heads_of_its_columns(site: Site, browser: Browser) -> None:
    for family, count, hosts in (("b", 2, [3000]), ("a", 0, []), ("c", 1, [5000, 2000])):
        ports = tuple(PortMapping(host, 80 + number) for number, host in enumerate(hosts))
        site.services.containers.create(family, replace(PLAIN, gpu_count=count, ports=ports))
    site.services.containers.stop(parse("c"))
    for query, families in (
        ("", "abc"),
        ("sort=-name", "cba"),
        ("sort=gpus", "acb"),
        ("sort=-gpus", "bac"),
        ("sort=state", "abc"),
        ("sort=-size", "abc"),
        ("sort=ports", "cba"),
        ("sort=-ports", "bca"),
        ("sort=nonsense", "abc"),
    ):
        assert "".join(order(browser.page(f"/containers?{query}"))) == families, query
    made = sorted(
        (record.created, name[0]) for name, record in site.services.containers.records.everything()[1].items()
    )
    assert order(browser.page("/containers?sort=created")) == [name for _, name in made]
    html = browser.page("/containers?state=running&sort=gpus&page=1")
    assert re.findall(r'aria-sort="((?:as|des)cending)">\s*<a class="sort" href="([^"]*)"', html) == [
        ("ascending", "/containers?state=running&amp;sort=-gpus")
    ]
    assert '<input type="hidden" name="sort" value="gpus">' in html, "the search keeps the order"


def test_a_long_list_has_pages_that_keep_filter_and_order(site: Site, browser: Browser) -> None:
    for number in range(52):
        site.services.containers.create(f"c{number:02}", PLAIN)
    first = browser.page("/containers?state=running&sort=-name")
    assert len(rows(first)) == 50 and "Page 1 of 2" in first
    (link,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = browser.page(unescape(link))
    assert list(rows(second)) == ["c01-0", "c00-0"] and 'rel="next"' not in second
    assert len(rows(browser.page("/containers?page=99"))) == 2
    assert len(rows(browser.page("/containers?page=x"))) == 50


def test_the_page_shows_every_setting(site: Site, browser: Browser) -> None:
    site.services.volumes.create("veil", "1MB")
    site.engine.volumes.add("foreign-0")
    binds = (Bind("veil-0", "/root/veil"), Bind("foreign-0", "/foreign"), Bind("/data/foo", "/root/data"))
    ports = (PortMapping(2333, 22), PortMapping(8080, 80))
    site.services.containers.create(
        "foo", replace(PLAIN, gpu_count=1, binds=binds, ports=ports, env=("USER=foo",), cmd=("sh", "-c", "true"))
    )
    html = browser.page("/containers/foo")
    shown = text(html)
    for setting in ("busybox:test", "veil-0 at /root/veil", "foreign-0 at /foreign", "/data/foo at /root/data"):
        assert setting in shown
    assert '["sh", "-c", "true"]' in shown and "USER foo" in shown and "ssh -p 2333 localhost" in shown
    assert 'href="http://localhost:8080/"' in html
    assert re.findall(r'href="(/volumes/[^"]*)"', html) == ["/volumes/veil-0"]
    assert [uuid for uuid in site.inventory.uuids() if uuid in shown] == [
        view.gpu.uuid for view in site.services.gpus.all() if view.holder
    ]


def test_the_page_of_a_family_stays_with_its_newest_version(site: Site, browser: Browser) -> None:
    grow(site)
    for name in ("foo", "foo-1"):
        html = browser.page(f"/containers/{name}")
        assert f'action="/containers/{name}/execute"' in html and f'hx-get="/containers/{name}/log"' in html


def test_secrets_are_masked_until_they_are_asked_for(site: Site, browser: Browser) -> None:
    secrets = {"API_TOKEN": "hush1", "db_password": "hush2", "S3_SECRET": "hush3", "SSH_KEY": "hush4"}
    env = [f"{name}={value}" for name, value in secrets.items()] + ["DB=postgres://me:hush5@host/db", "MODE=open"]
    cmd = ("serve", "--api-key=hush6", "--token", "hush7", "--名", "sh -c 'KEY=hush8 x'", "ftp://me:hush9@host")
    site.services.containers.create("foo", replace(PLAIN, env=tuple(env), cmd=cmd))
    html = browser.page("/containers/foo")
    assert "hush" not in html and "open" in text(html) and html.count("Show secrets") == 2
    masked = (
        """["serve", "--api-key=••••••", "--token", "••••••", "--名", "sh -c 'KEY=•••••• x'", "ftp://me:••••••@host\""""
    )
    assert masked in text(html)
    shown = browser.page("/containers/foo?secrets=shown")
    assert all(f"hush{number}" in shown for number in range(1, 10)) and shown.count("Hide secrets") == 2
    assert "hush" not in browser.page("/containers/foo?secrets=no")


def test_a_command_without_secrets_has_nothing_to_show(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, cmd=("sleep", "9")))
    html = browser.page("/containers/foo")
    assert '["sleep", "9"]' in text(html) and "secrets" not in html


def test_the_timeline_tells_what_changed_from_version_to_version(site: Site, browser: Browser) -> None:
    services = site.services
    services.volumes.create("vol", "1MB")
    services.containers.create("foo", replace(PLAIN, gpu_count=1, binds=(Bind("vol-0", "/vol"),)))
    services.containers.change_gpus(parse("foo"), 3)
    services.volumes.resize(parse("vol"), "2MB")
    services.containers.change_volume(parse("foo"), Bind("vol-0", "/vol"), Bind("vol-1", "/vol"))
    services.containers.roll_back(parse("foo"), 0)
    services.containers.stop(parse("foo"))
    services.containers.restart(parse("foo"))
    html = browser.page("/containers/foo-1")
    told = steps(html)
    assert list(told) == ["foo-4", "foo-3", "foo-2", "foo-1", "foo-0"]
    assert re.match(
        r"running newest 20[0-9: -]+ UTC · restart · by [^·]+ · own files: 0 bytes the same settings", told["foo-4"]
    )
    assert "rollback to foo-0" in told["foo-3"] and "GPUs 3 → 1 mount /vol vol-1 → vol-0" in told["foo-3"]
    assert "volume change" in told["foo-2"] and "mount /vol vol-0 → vol-1" in told["foo-2"]
    assert "you are here" in told["foo-1"] and "GPU change" in told["foo-1"] and "GPUs 1 → 3" in told["foo-1"]
    assert "create" in told["foo-0"] and "1 GPU · busybox:test" in told["foo-0"]
    assert "Go back…" in told["foo-0"] and "Go back…" not in told["foo-4"]
    assert html.count('aria-current="true"') == 1


def test_the_timeline_hides_secrets_and_says_where_versions_are_gone(site: Site, browser: Browser) -> None:
    records = site.services.containers.records
    for version, token in enumerate(("one", "two", "three")):
        if version:
            site.services.containers.change_gpus(parse("foo"), version)
        else:
            site.services.containers.create("foo", PLAIN)
        record = records.version(parse("foo"))
        changed = replace(record, spec=replace(record.spec, env=(f"MY_TOKEN={token}",), cmd=("me", "--key", token)))
        site.store.transact({}, [Put(version_key(CONTAINERS, "foo", version), encode(changed))])
    site.services.containers.delete(parse("foo-1"), force=True, erase=True)
    html = browser.page("/containers/foo")
    told = steps(html)
    assert "two" not in html and "three" not in html
    assert "variable MY_TOKEN •••••• → ••••••" in told["foo-2"] and "were deleted" in told["foo-2"]
    assert "command me --key •••••• → me --key ••••••" in told["foo-2"]
    preview = browser.page("/containers/foo-0/rollback")
    assert "one" not in re.findall(r"\w+", preview) and "me --key ••••••" in preview


def test_older_versions_say_so_and_offer_what_is_possible_with_them(site: Site, browser: Browser) -> None:
    grow(site)
    assert "<title>foo-1 · gpudock</title>" in browser.page("/containers/foo")
    assert links(browser.page("/containers/foo")) == {"stop", "restart", "gpus", "commit", "delete"}
    old = browser.page("/containers/foo-0")
    assert "This is an older version. The newest is foo-1" in text(old)
    assert links(old) == {"rollback", "commit", "delete"}


@pytest.mark.parametrize(
    ("state", "possible", "row"),
    [
        ("running", {"stop", "restart", "gpus", "volume", "commit", "delete"}, "Stop… Restart…"),
        ("paused", {"stop", "restart", "gpus", "volume", "commit", "delete"}, "Stop… Restart…"),
        ("exited", {"stop", "restart", "gpus", "volume", "commit", "delete"}, "Stop… Start…"),
        ("stopped", {"restart", "gpus", "volume", "commit", "delete"}, "Start…"),
        ("removed", {"restart", "gpus", "volume", "delete"}, "Start…"),
        ("missing", {"delete"}, "test-node"),
    ],
)
def test_every_state_has_its_word_and_only_what_can_work(
    site: Site, browser: Browser, state: str, possible: set[str], row: str
) -> None:
    site.services.volumes.create("vol", "1MB")
    site.services.containers.create("foo", replace(PLAIN, binds=(Bind("vol-0", "/vol"),)))
    (container,) = site.engine.containers.values()
    if state == "missing":
        site.engine.remove(container.id)
    elif state == "removed":
        site.services.containers.delete(parse("foo-0"), force=True, erase=False)
    elif state == "stopped":
        site.services.containers.stop(parse("foo"))
    else:
        container.state = state
    html = browser.page("/containers/foo")
    assert f"foo-0 {state}" in text(html) and links(html) == possible
    line = rows(browser.page("/containers"))["foo-0"]
    assert line.startswith(state) and line.endswith(row)
    assert ('name="command"' in html) == (state == "running")


@pytest.mark.parametrize("lost", ["removed", "missing"])
def test_there_is_no_way_back_to_a_version_whose_files_are_gone(site: Site, browser: Browser, lost: str) -> None:
    identity = site.services.containers.create("foo", PLAIN).id
    site.services.containers.change_gpus(parse("foo"), 1)
    if lost == "removed":
        site.services.containers.delete(parse("foo-0"), force=True, erase=False)
    else:
        site.engine.remove(identity)
    html = browser.page("/containers/foo-0")
    assert f"foo-0 {lost}" in text(html) and "/rollback" not in html
    refused = browser.submit("/containers/foo-0/rollback", "/containers/foo/gpus?count=2")
    assert refused.status_code == 404 and "foo-0 was" in text(refused.text)
    assert next(iter(steps(browser.page("/containers/foo")))) == "foo-1"


def test_a_change_under_way_is_shown_and_nothing_else_is_offered(site: Site, browser: Browser) -> None:
    grow(site)
    operation = Operation(new_id(), "gpu", "foo", 2, "test-node", "this-process", now(), step="copying")
    assert site.services.operations.journal.begin(Plan(operation=replace(operation, done=3 * MB, total=12 * MB)))
    html = browser.page("/containers/foo")
    (notice,) = (
        text(found) for found in re.findall(r'<div class="notice.*?</div>', html, re.DOTALL) if "under-way" in found
    )
    assert notice.startswith("GPU change foo-2 is under way: copying 3 MB of 12 MB")
    assert f'action="/operations/{operation.id}/cancel"' in html and '<meta http-equiv="refresh"' in html
    assert links(html) == set() and "Go back…" not in html and links(browser.page("/containers/foo-0")) == set()


def test_what_was_done_with_it_is_listed(site: Site, browser: Browser) -> None:
    grow(site)
    grow(site, "foobar")
    site.engine.fail_next["start"] = Unavailable("docker", "Docker is too slow")
    browser.submit("/containers/foo/gpus", "/containers/foo/gpus?count=2", count="2")
    wait_for(lambda: "undone" in browser.page("/containers/foo"))
    events = [text(row) for row in re.findall(r'<tr id="event-.*?</tr>', browser.page("/containers/foo"), re.DOTALL)]
    for event, words in zip(
        events, ("GPU change foo-2 .* undone", "GPU change foo-1 .* done", "create foo-0 .* done"), strict=True
    ):
        assert re.fullmatch(rf"20[0-9: -]+ {words} [0-9.]+ s .*", event)
    assert "these pages" in events[0]
    assert "Docker is too slow" in events[0]


def test_the_output_is_shown_without_what_only_a_terminal_understands(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    (container,) = site.engine.containers.values()
    container.output = f"\x1b[1;31mred\x1b[0m\r\n\x1b]0;title\x07{HOSTILE}\x00\x1b(B\x9b\n"
    for path in ("/containers/foo-0", "/containers/foo/log"):
        pre = re.search(r"<pre[^>]*>(.*?)</pre>", browser.page(path), re.DOTALL)
        assert pre and unescape(pre[1]) == f"red\n{HOSTILE}\n"
    live = browser.get("/containers/foo/log", headers={"HX-Request": "true"})
    assert unescape(live.text) == f"red\n{HOSTILE}\n" and "<script>" not in live.text
    again = browser.get("/containers/foo/log", headers={"HX-Request": "true", "If-None-Match": live.headers["ETag"]})
    assert again.status_code == 304


def test_a_log_that_cannot_be_read_does_not_hide_the_rest(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.engine.fail_next["logs"] = Unavailable("docker", "Docker is too slow")
    html = browser.page("/containers/foo-0")
    assert "The log cannot be read: Docker is too slow" in html and "busybox:test" in html


def test_what_callers_wrote_is_shown_and_never_executed(site: Site, browser: Browser) -> None:
    image = "img/" + "x" * 150
    site.engine.images[image] = site.engine.images["busybox:test"]
    site.services.containers.create("foo", replace(PLAIN, image=image, env=(f"X={HOSTILE}",), cmd=("echo", HOSTILE)))
    html = browser.page("/containers/foo-0")
    assert "<script>" not in html and HOSTILE in text(html)
    words = {"name": '"><script>', "page": "<script>", "sort": "<script>", "state": "<script>", "image": "<script>"}
    for path in ("/containers", "/volumes"):
        quoted = browser.get(path, query_string={**words, "_external": "1", "_scheme": "javascript"})
        assert quoted.status_code == 200 and "<script>" not in quoted.text and "javascript:" not in quoted.text
    missing = browser.get("/containers/<script>")
    assert missing.status_code == 400 and "<script>" not in missing.text


def test_without_docker_what_was_known_last_is_shown_and_nothing_offered(
    site: Site, browser: Browser, clock: Clock
) -> None:
    grow(site)
    site.engine.dead = True
    response = browser.get("/containers/foo-0")
    assert response.status_code == 200
    (banner, *_) = notices(response)
    assert banner.startswith("Docker does not answer.")
    assert "foo-0 unknown" in text(response.text) and links(response.text) == set()
    row = rows(browser.page("/containers"))["foo-1"]
    assert row.startswith("unknown busybox:test") and row.endswith("test-node")
    assert browser.get("/containers/foo-7").status_code == 404
    site.engine.dead = False
    browser.page("/containers")
    browser.page("/containers/foo")
    site.engine.dead = True
    clock.now += 5
    html = browser.page("/containers?state=running")
    assert rows(html)["foo-1"].startswith("running") and "as last known, 5.0 s ago" in html and "Stop…" not in html


def test_without_docker_the_page_of_one_shows_its_last_known_state_while_its_records_are_the_same(
    site: Site, browser: Browser, clock: Clock
) -> None:
    grow(site)
    browser.page("/containers/foo")
    site.engine.dead = True
    clock.now += 5
    for name in ("foo", "foo-1"):
        html = browser.page(f"/containers/{name}")
        assert "foo-1 running" in text(html) and "as last known, 5.0 s ago" in html and links(html) == set()
        assert "Go back" not in html and "Run a command" not in html
    site.engine.dead = False
    site.services.containers.change_gpus(parse("foo"), 2)
    site.engine.dead = True
    html = browser.page("/containers/foo")
    assert "foo-2 unknown" in text(html) and "as last known" not in html


def test_without_nvml_the_containers_are_still_shown(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1))
    site.inventory.error = Unavailable("nvml", "the driver is not loaded")
    response = browser.get("/containers")
    (banner,) = notices(response)
    assert banner.startswith("NVML does not answer.") and rows(response.text)["foo-0"].startswith(
        "running busybox:test GPU-"
    )
    assert "GPU-" in browser.page("/containers/foo-0")


def test_the_live_part_answers_304_as_long_as_nothing_changed(site: Site, browser: Browser) -> None:
    grow(site)
    browser.page("/containers/foo")  # waits until the layers are measured
    for path in ("/containers?sort=-name", "/containers/foo", "/volumes"):
        first = browser.get(path, headers={"HX-Request": "true"})
        assert first.status_code == 200 and "<html" not in first.text
        again = browser.get(path, headers={"HX-Request": "true", "If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304, path


def test_a_container_of_an_unknown_version_or_name_is_an_error_page(browser: Browser) -> None:
    for path, status in (("/containers/nope", 404), ("/containers/foo-x", 400), ("/containers/nope/stop", 404)):
        response = browser.get(path)
        assert response.status_code == status and response.headers["X-Request-Id"] in response.text


def test_with_a_login_every_page_of_a_container_wants_it() -> None:
    site = Site(CLOSED)
    site.services.containers.create("foo", PLAIN)
    for path in ("", "/stop", "/restart", "/gpus", "/volume", "/rollback", "/delete", "/commit", "/execute", "/log"):
        assert "/login" in site.browser().get(f"/containers/foo{path}").headers["Location"]
        assert site.operator().get(f"/containers/foo{path}").status_code == 200, path

"""What pages of single things show while etcd is down, whichever worker answers; changes are refused meanwhile."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.model.container import Bind
from app.model.names import VOLUME, parse
from app.web import shared_cache
from tests.pages.test_containers import links
from tests.pages.test_pages import PLAIN, browser, notices, site, text
from tests.support.site import Browser, Site, two_nodes

__all__ = ["browser", "site"]


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, Site]]:
    """Two workers of one server on one etcd."""
    tmp_path.chmod(0o700)
    monkeypatch.setenv(shared_cache.DIRECTORY, str(tmp_path))
    first = Site()
    yield first, Site(store=first.store)


def fill(site: Site) -> list[str]:
    """A volume of two versions, a container of two that has a GPU; the pages of all that, and of an operation."""
    site.services.volumes.create("vol", "10MB")
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1, binds=(Bind("vol-0", "/vol"),)))
    site.services.containers.change_gpus(parse("foo"), 2)
    site.services.volumes.resize(parse("vol", VOLUME), "20MB")
    gpu = next(view.gpu.uuid for view in site.services.gpus.all() if view.holder)
    operation = site.services.operations.queries.all(kind="gpu").operations[0].operation.id
    return ["/containers/foo", "/containers/foo-0", "/volumes/vol-1", f"/gpus/{gpu}", f"/operations/{operation}"]


def test_without_etcd_each_page_shows_what_any_worker_knew_last_and_how_old_that_is(
    workers: tuple[Site, Site],
) -> None:
    one, two = workers
    pages = fill(one)
    before = {path: one.browser().page(path) for path in pages}
    one.store.dead = True
    for worker in workers:
        for path in pages:
            html = worker.browser().page(path)
            (heading,) = re.findall(r"<h1>.*?</h1>", html, re.DOTALL)
            assert heading in before[path], path
            assert re.search(r"etcd does not answer\. .* as last known, \d+(\.\d)? s ago", text(html)), path
        html = worker.browser().page("/containers/foo")
        assert "foo-1 running" in text(html) and links(html) == set() and "Run a command" not in html
        assert "GPU change foo-1" in text(html), "its events are known too"
    one.store.dead = False
    assert "as last known" not in two.browser().page("/volumes/vol-1")


def test_without_etcd_what_was_never_looked_at_is_not_available(site: Site, browser: Browser) -> None:
    pages = fill(site)
    browser.page("/volumes/vol")
    site.services.volumes.resize(parse("vol", VOLUME), "30MB")
    site.store.dead = True
    for path in (*pages[:2], "/volumes/vol-2", *pages[3:]):
        response = browser.get(path)
        assert response.status_code == 503 and "etcd at 127.0.0.1:2379 does not answer" in response.text, path
        assert response.headers["X-Request-Id"] in response.text and response.mimetype == "text/html"
    assert browser.page("/volumes/vol-0")


def test_without_etcd_nothing_is_asked_or_changed_and_programs_are_told_so(site: Site, browser: Browser) -> None:
    pages = fill(site)
    for path in pages:
        browser.page(path)
    form = browser.csrf("/containers/foo/stop")
    calls = len(site.engine.calls)
    site.store.dead = True
    for path in ("/containers/foo/stop", "/containers/foo/gpus", "/volumes/vol/delete", "/containers/foo/log"):
        assert browser.get(path).status_code == 503, path
    for path in ("/containers/foo/stop", "/containers/foo/execute", "/volumes/vol/resize", "/containers/foo/delete"):
        fields = {"csrf_token": form, "command": "ls", "size": "40MB", "typed": "foo-1", "scope": "erase"}
        refused = browser.client.post(path, data=fields)
        assert refused.status_code == 503 and refused.headers["X-Request-Id"] in refused.text, path
    for path in pages:
        answer = browser.get(f"/api/v1{path}")
        assert answer.status_code == 503 and answer.json is not None and answer.json["code"] == 2040, path
    assert len(site.engine.calls) == calls


def test_etcd_may_go_away_at_any_moment_while_docker_is_down(site: Site, browser: Browser) -> None:
    fill(site)
    browser.page("/containers/foo")
    site.engine.dead = True
    problems = set()
    for skip in range(10):
        site.store.fail_next("unavailable", skip=skip)
        found = notices(browser.get("/containers/foo"))
        problems.add(tuple(notice.split(".")[0] for notice in found if "does not answer" in notice))
        assert "foo-1" in browser.page("/containers/foo")
    assert problems >= {("etcd does not answer",), ("Docker does not answer", "etcd does not answer")}


def test_without_etcd_a_thing_of_another_node_is_asked_for_where_it_was() -> None:
    one, two, peers = two_nodes()
    store = one.store
    paths = fill(two)[:4]
    two.services.agent.presence.report()
    operator = one.operator()
    for path in paths:
        operator.page(path)
    calls = len(one.engine.calls)
    store.dead = True
    peers.sent.clear()
    for path in paths:
        html = operator.page(path)
        assert "as last known" in html and "etcd does not answer" in html, path
    assert [(node, message.target) for node, message in peers.sent] == [("two", path) for path in paths]
    refused = operator.client.post("/containers/foo/stop", data={"csrf_token": operator.csrf("/create/volume")})
    assert refused.status_code == 503 and len(peers.sent) == len(paths) and len(one.engine.calls) == calls
    peers.apps.clear()
    away = operator.get("/containers/foo")
    assert away.status_code == 503 and "etcd at 127.0.0.1:2379" in away.text and len(one.engine.calls) == calls


def test_the_memory_of_a_worker_survives_a_full_disk(workers: tuple[Site, Site], tmp_path: Path) -> None:
    one, _two = workers
    pages = fill(one)
    tmp_path.chmod(0o700)
    (tmp_path / "known").mkdir()
    for path in pages:
        assert one.browser().get(path).status_code == 200
    one.store.dead = True
    for path in pages:
        assert one.browser().get(path).status_code == 200, path

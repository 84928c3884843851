"""The pages of an operation that is stuck: everybody who meets it learns why, and where the ways out are."""

import re
from collections.abc import Iterator

import pytest

from app.errors import Unavailable
from app.model.operation import Operation
from app.operations.base import Resolution
from app.ports import Delete, Put
from app.state.keys import OPERATIONS, agent_key
from tests.pages.test_pages import HOSTILE, PLAIN, browser, notices, site, text
from tests.support.html import read
from tests.support.site import Browser, Site, two_nodes
from tests.support.stuck import FOO, WHY, stuck_commit

__all__ = ["browser", "site"]


@pytest.fixture
def stuck(site: Site) -> Operation:
    """A commit of foo that is stuck."""
    site.services.containers.create("foo", PLAIN)
    return stuck_commit(site.services, site.store)


def ways(html: str) -> Iterator[tuple[str, bool, str]]:
    """Each way out that the form has: its name, whether it can be chosen, and what is said of it."""
    document = read(html)
    said = {element.attributes.get("id"): element.text for element in document.all("div")}
    for choice in document.all("input"):
        if choice.attributes.get("name") == "how":
            about = choice.attributes["aria-describedby"]
            yield choice.attributes["value"], "disabled" not in choice.attributes, said[about]


def test_its_page_tells_the_reason_and_what_each_way_out_does(stuck: Operation, browser: Browser) -> None:
    html = browser.page(f"/operations/{stuck.id}")
    assert f'<p class="notice error">{WHY}</p>' in html and '<span class="state bad">stuck</span>' in html
    assert "is not tried again by itself" in html and "/cancel" not in html
    assert list(ways(html)) == [
        (
            "finish",
            True,
            "gives the image its name saved; if Docker has not made it, or the name is taken, the commit is undone "
            "leaves container foo-0 as it is",
        ),
        ("undo", True, "removes the image if it has no name yet leaves container foo-0 as it is"),
        (
            "forget",
            True,
            "leaves an image that has no name yet for now; reconcile removes it leaves container foo-0 as it is",
        ),
    ]
    assert (
        "现" not in html
        and "以此方式结束 foo-0" in browser.get(f"/operations/{stuck.id}", headers={"Accept-Language": "zh-CN"}).text
    )


def test_a_way_that_is_none_says_why_and_cannot_be_chosen(site: Site, browser: Browser, stuck: Operation) -> None:
    (entry,) = site.store.list(OPERATIONS)
    site.store.transact({}, [Put(entry.key, {**entry.value, "kind": "create"})])
    found = {name: (possible, said) for name, possible, said in ways(browser.page(f"/operations/{stuck.id}"))}
    assert found["finish"] == (False, "This is not possible: what was not committed cannot be finished; undo it")
    assert found["undo"][0] and found["forget"][0]


@pytest.mark.parametrize("how", Resolution)
def test_the_form_resolves_it_once(site: Site, browser: Browser, stuck: Operation, how: Resolution) -> None:
    path = f"/operations/{stuck.id}"
    fields = {"csrf_token": browser.csrf(path), "once": "the-key", "how": how}
    for _press in range(2):
        done = browser.client.post(path, data=fields)
        assert (done.status_code, done.location) == (303, path)
    html = browser.page(path)
    assert "commit to an image foo-0 is resolved: it is undone" in html  # Docker had not made the image
    assert "not carried out again" in html and list(ways(html)) == []
    view = site.services.operations.queries.one(stuck.id)
    assert view.state == "undone" and f"somebody chose to {how} it" in str(view.error)
    site.services.containers.stop(FOO)


def test_what_cannot_be_done_is_said_on_its_page(site: Site, browser: Browser, stuck: Operation) -> None:
    path = f"/operations/{stuck.id}"
    refused = browser.submit(path, path, how="burn")
    assert (refused.status_code, notices(refused)[0]) == (
        400,
        f"This was not done. nothing was done: choose how it is to end Request {refused.headers['X-Request-Id']}",
    )
    csrf = browser.csrf(path)
    site.services.operations.resolver.resolve(stuck.id, Resolution.UNDO)
    late = browser.client.post(path, data={"csrf_token": csrf, "how": "undo"})
    assert late.status_code == 409 and "the operation is undone already" in late.text
    assert browser.get("/operations/nothing").status_code == 404


def test_while_docker_is_down_the_ways_out_are_not_known(site: Site, browser: Browser, stuck: Operation) -> None:
    (entry,) = site.store.list(OPERATIONS)
    site.store.transact({}, [Put(entry.key, {**entry.value, "kind": "create"})])
    site.engine.dead = True
    html = browser.page(f"/operations/{stuck.id}")
    assert "How it can be resolved is not known now: Docker at unix:///nowhere.sock does not answer" in text(html)
    site.engine.dead, site.store.dead = False, True
    html = browser.page(f"/operations/{stuck.id}")  # as it was last
    assert WHY in html and list(ways(html)) == []


def test_the_part_that_is_asked_for_again_has_no_form(site: Site, browser: Browser, stuck: Operation) -> None:
    live = browser.get(f"/operations/{stuck.id}", headers={"HX-Request": "true"})
    assert WHY in live.text and "<form" not in live.text
    again = {"HX-Request": "true", "If-None-Match": live.headers["ETag"]}
    site.engine.fail_next["inspect"] = Unavailable("docker", "nobody asks it")
    assert "nobody" not in browser.get(f"/operations/{stuck.id}", headers=again).text


def test_it_is_listed_and_can_be_found_by_its_state(site: Site, browser: Browser, stuck: Operation) -> None:
    html = browser.page("/operations?state=stuck")
    assert '<option value="stuck" selected>stuck</option>' in html
    assert re.findall(r'<tr id="operation-(\w+)"', html) == [stuck.id] and WHY in html
    assert stuck.id not in browser.page("/operations?state=running")


def test_it_needs_attention_and_the_overview_leads_to_it(site: Site, browser: Browser, stuck: Operation) -> None:
    html = browser.page("/")
    first = re.findall(r"<li>(.*?)</li>", html[html.index('class="alerts"') :], re.DOTALL)[0]
    assert text(first) == (
        f"stuck foo-0 commit to an image: {WHY} nobody else can change foo until it is finished, undone or forgotten "
        "Show the operation"
    )
    assert f'href="/operations/{stuck.id}"' in first


@pytest.mark.parametrize("path", ["/containers/foo", "/containers/foo-0"])
def test_the_page_of_what_it_blocks_leads_to_it_and_offers_nothing(
    browser: Browser, stuck: Operation, path: str
) -> None:
    html = browser.page(path)
    assert f"commit to an image foo-0 is stuck, and keeps everything else off: {WHY}" in text(html)
    assert f'<a class="button" href="/operations/{stuck.id}">' in html
    assert not re.search(r'href="/containers/foo-0/(stop|restart|delete|gpus)"', html)


def test_a_volume_says_so_too(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    site.services.containers.create("foo", PLAIN)
    stuck = stuck_commit(site.services, site.store)
    (entry,) = site.store.list(OPERATIONS)
    value = {**entry.value, "resource": "volumes", "family": "vol", "kind": "resize", "version": 1}
    site.store.transact({}, [Delete(entry.key), Put(f"{OPERATIONS}volumes/vol", value)])
    html = browser.page("/volumes/vol")
    assert f"resize vol-1 is stuck, and keeps everything else off: {WHY}" in text(html)
    assert f'href="/operations/{stuck.id}"' in html and "/volumes/vol-0/resize" not in html


def test_what_it_says_is_only_text(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    stuck = stuck_commit(site.services, site.store, why=HOSTILE)
    for path in (f"/operations/{stuck.id}", "/operations", "/", "/containers/foo"):
        assert "<script>alert" not in browser.page(path)


def test_another_node_tells_and_takes_the_ways_out_of_its_own() -> None:
    one, two, peers = two_nodes()
    one.services.containers.create("foo", PLAIN)
    stuck = stuck_commit(one.services, one.store)
    path, browser = f"/operations/{stuck.id}", two.operator()
    assert [name for name, possible, _ in ways(browser.page(path)) if possible] == ["finish", "undo", "forget"]
    del peers.apps["http://one.test"]
    silent = browser.page(path)
    assert "How it can be resolved is not known now" in silent and list(ways(silent)) == []
    csrf = browser.csrf("/create/volume")
    refused = browser.client.post(path, data={"csrf_token": csrf, "how": "undo"})
    assert refused.status_code == 503 and "This was not done." in refused.text
    peers.apps["http://one.test"] = one.app
    assert browser.submit(path, path, how="undo").location == path
    assert one.services.operations.queries.one(stuck.id).state == "undone"


def test_what_a_node_that_is_gone_left_can_only_be_forgotten() -> None:
    one, two, _ = two_nodes()
    one.services.containers.create("foo", PLAIN)
    stuck, browser = stuck_commit(one.services, one.store), two.operator()
    one.store.transact({}, [Delete(agent_key("one"))])
    path = f"/operations/{stuck.id}"
    assert [name for name, possible, _ in ways(browser.page(path)) if possible] == ["forget"]
    assert browser.submit(path, path, how="forget").location == path
    assert two.services.operations.queries.one(stuck.id).state == "undone"

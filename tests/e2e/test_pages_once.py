"""A form that is sent twice is carried out once."""

import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from html import unescape
from itertools import count
from types import SimpleNamespace

import pytest
import requests
from werkzeug.test import TestResponse

from app.errors import FirstStillRuns, Unavailable
from app.model.container import Bind, ContainerPlan, ExecResult
from app.model.names import parse
from app.ports import Put
from app.state.idempotency import KeyClaim, StoredAnswer
from app.state.keys import NODES
from app.web.pages import form_idempotency
from tests.e2e.test_pages import PLAIN, browser, notices, site, text
from tests.e2e.test_pages_container_forms import FIELDS, redirected, refusal, states, typed
from tests.support.server import TOKEN, Server
from tests.support.site import OPEN, Browser, Site

__all__ = ["browser", "site"]
AGAIN = "this form was sent before and is not carried out again"
VOLUME = {"name": "new", "size": "1MB", "wish": "create"}


def hidden(html: str) -> dict[str, str]:
    """What every form that changes something sends by itself: the fields of the last one on the page."""
    return dict(re.findall(r'<input type="hidden" name="(csrf_token|once)" value="([^"]+)">', html))


def press(browser: Browser, path: str, fields: Mapping[str, str]) -> TestResponse:
    return browser.client.post(path, data=fields)


def beside(site: Site, browser: Browser) -> Browser:
    """The same browser at the moment when it has sent a form and not got an answer: what it is told then is lost."""
    other, cookie = site.browser(), browser.client.get_cookie("gpudock")
    assert cookie is not None
    other.client.set_cookie("gpudock", cookie.value)
    return other


@dataclass(frozen=True)
class Form:
    """A form on the page at `path`, with what is typed into it, and what the next page tells."""

    path: str
    outcome: str
    fields: Mapping[str, str]
    page: str | None = None


FORMS = {
    "create": Form("/create/container", "new-0 is created and runs", {**FIELDS, "name": "new"}),
    "create volume": Form("/create/volume", "new-0 is created", VOLUME),
    "gpus": Form("/containers/foo/gpus", "foo-2 runs with 4 GPUs", {"count": "4"}, "/containers/foo/gpus?count=4"),
    "volume": Form(
        "/containers/foo/volume",
        "foo-2 runs with vol-1 at /vol",
        {"dest": "/vol", "source": "vol-1"},
        "/containers/foo/volume?dest=/vol&source=vol-1",
    ),
    "rollback": Form("/containers/foo-0/rollback", "foo-2 runs with the files", {}),
    "restart": Form("/containers/foo/restart", "foo-1 runs", {}),
    "stop": Form("/containers/foo/stop", "foo-1 is stopped", {}),
    "commit": Form("/containers/foo/commit", "foo-1 is now also the image mine:1", {"image": "mine:1"}),
    "delete": Form("/containers/foo/delete", "foo is deleted", {"typed": "foo-1", "scope": "everything"}),
    "delete older": Form("/containers/foo-0/delete", "foo-0 is deleted", {"typed": "foo-0", "scope": "erase"}),
    "resize": Form("/volumes/vol/resize", "vol-2 has 3MB", {"size": "3MB"}, "/volumes/vol/resize?size=3MB"),
    "volume rollback": Form("/volumes/vol-0/rollback", "vol-2 holds what vol-0 holds", {}),
    "delete volume": Form("/volumes/spare/delete", "spare-0 is deleted", {"typed": "spare-0", "scope": "erase"}),
    "pull": Form("/images", "far:1 is here now", {"image": "far:1"}),
    "tag": Form("/images/tag?image=near:1", "near:1 is also called mine:2", {"name": "mine:2"}),
    "remove images": Form("/images/remove?image=near:1", "1 name or image was removed", {"name": "near:1"}),
}


def fill(site: Site) -> None:
    """foo-1 with a GPU on vol-0, of which there is a version vol-1; spare-0; the images near:1 here and far:1 there."""
    services = site.services
    services.volumes.creator.create("vol", "1MB")
    services.volumes.creator.create("spare", "1MB")
    services.creator.create("foo", replace(PLAIN, binds=(Bind("vol-0", "/vol"),)))
    services.changer.gpus(parse("foo"), 1)
    services.volumes.resizer.resize(parse("vol"), "2MB")
    busybox = site.engine.images["busybox:test"]
    site.images.registry["far:1"] = "sha256:" + "f" * 64
    site.engine.images["near:1"] = replace(busybox, id="sha256:" + "e" * 64)


def records(site: Site) -> dict[str, object]:
    """What is recorded but for the keys of forms."""
    return {entry.key: entry.value for entry in site.store.list("/") if not entry.key.startswith("/idempotency/")}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_second_press_changes_nothing_and_leads_to_where_the_first_one_did(
    site: Site, browser: Browser, form: Form
) -> None:
    fill(site)
    fields = {**hidden(browser.page(form.page or form.path)), **form.fields}
    late = beside(site, browser)
    first = press(browser, form.path, fields)
    assert first.status_code == 303, text(first.text)
    location, after, calls = first.headers["Location"], records(site), len(site.engine.calls)
    second = press(late, form.path, fields)
    redirected(second, location)
    assert (records(site), len(site.engine.calls)) == (after, calls)
    told = notices(late.get("/operations"))
    assert told[0].startswith(form.outcome) and told[1:] == [AGAIN]
    redirected(press(browser, form.path, fields), location)
    assert notices(browser.get("/operations")) == told  # and not twice what was waiting to be told


def test_a_press_while_the_first_one_is_at_work_waits_for_it(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, may_go, looks = threading.Event(), threading.Event(), count(1)
    create, begin = site.engine.create, site.services.idempotency.begin

    def slowly(plan: ContainerPlan) -> str:
        at_work.set()
        assert may_go.wait(20)
        return create(plan)

    def watched(key: str, request: str) -> KeyClaim | StoredAnswer:
        if next(looks) == 5:
            may_go.set()
        return begin(key, request)

    monkeypatch.setattr(site.engine, "create", slowly)
    monkeypatch.setattr(site.services.idempotency, "begin", watched)
    fields = {**hidden(browser.page("/create/container")), **FIELDS}
    late = beside(site, browser)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(press, browser, "/create/container", fields)
        assert at_work.wait(20)
        monkeypatch.setattr(form_idempotency, "PATIENCE", -1.0)
        impatient = press(late, "/create/container", fields)
        assert impatient.status_code == 409 and "was sent before and is still being carried out" in text(impatient.text)
        monkeypatch.setattr(form_idempotency, "PATIENCE", 20.0)
        redirected(press(late, "/create/container", fields), "/containers/foo")
        redirected(first.result(), "/containers/foo")
    assert states(site) == {"foo-0": "running"}


def test_a_refused_form_can_be_sent_again(site: Site, browser: Browser) -> None:
    fields = {**hidden(browser.page("/create/container")), **FIELDS, "image": "late:1"}
    assert press(browser, "/create/container", fields).status_code == 404
    site.engine.images["late:1"] = site.engine.images["busybox:test"]
    redirected(press(browser, "/create/container", fields), "/containers/foo")
    assert notices(browser.get("/containers/foo")) == ["foo-0 is created and runs"]


def test_a_form_that_one_went_back_to_and_changed_is_another_one(site: Site, browser: Browser) -> None:
    fields = {**hidden(browser.page("/create/container")), **FIELDS}
    redirected(press(browser, "/create/container", fields), "/containers/foo")
    redirected(press(browser, "/create/container", {**fields, "name": "bar"}), "/containers/bar")
    assert states(site) == {"foo-0": "running", "bar-0": "running"}


def test_every_form_has_a_key_of_its_own(browser: Browser) -> None:
    keys = {hidden(browser.page("/create/volume"))["once"] for _ in range(3)}
    assert len(keys) == 3


def test_another_worker_knows_what_was_done(site: Site, browser: Browser) -> None:
    worker = Site(OPEN, site.store)
    fields = {**hidden(browser.page("/create/container")), **FIELDS}
    late = beside(worker, browser)
    redirected(press(browser, "/create/container", fields), "/containers/foo")
    redirected(press(late, "/create/container", fields), "/containers/foo")
    assert states(worker) == {}


def test_what_was_typed_stays_while_etcd_is_down(site: Site, browser: Browser) -> None:
    fill(site)
    fields = {**hidden(browser.page("/containers/foo/commit")), "image": "mine:1"}
    site.store.dead = True
    down = press(browser, "/containers/foo/commit", fields)
    assert down.status_code == 503 and "etcd" in text(down.text)
    site.store.dead = False
    redirected(press(browser, "/containers/foo/commit", fields), "/containers/foo")


def test_a_press_that_waits_for_the_first_one_is_not_carried_out_if_etcd_goes_away(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site)
    looks: list[str] = []

    def begin(key: str, _request: str) -> KeyClaim | StoredAnswer:
        looks.append(key)
        raise Unavailable("etcd", "etcd does not answer") if looks[1:] else FirstStillRuns("the first one runs")

    monkeypatch.setattr(site.services.idempotency, "begin", begin)
    monkeypatch.setattr(
        form_idempotency, "time", SimpleNamespace(monotonic=lambda: 4.0 * len(looks), sleep=lambda _seconds: None)
    )
    before = records(site)
    response = press(browser, "/containers/foo/stop", hidden(browser.page("/containers/foo/stop")))
    assert response.status_code == 409 and "still being carried out" in text(response.text)
    assert records(site) == before and len(looks) == 3


def test_a_node_that_does_not_answer_is_told_on_the_form_as_it_was_filled_in(site: Site, browser: Browser) -> None:
    site.store.transact({}, [Put(f"{NODES}other", {"schema": 1, "seen": 1.0})])
    _expect_lost_nothing(browser, "node other is unreachable")
    other = Site(replace(OPEN, node="other"), site.store)
    other.services.presence.beat("http://other.example:1")
    _expect_lost_nothing(browser, "node other does not answer at http://other.example:1")
    offered = browser.get("/create/container?node=other&image=busybox:test")
    assert offered.status_code == 503 and typed(offered.text)["image"] == "busybox:test" and states(site) == {}
    assert site.store.list("/idempotency/") == []


def _expect_lost_nothing(browser: Browser, words: str) -> None:
    for path, form in (("/create/container", FIELDS), ("/create/volume", VOLUME)):
        for wish in ("create", "check") if form is VOLUME else ("create", "check", "node"):
            fields = {**hidden(browser.page(path)), **form, "node": "other", "wish": wish}
            response = press(browser, path, fields)
            assert response.status_code == 503 and words in refusal(response)
            said = re.findall(r'<p class="field-error" id="node-error">(.*?)</p>', response.text)
            assert len(said) == 1 and words in unescape(said[0])
            kept = typed(response.text)
            assert {name: kept[name] for name in form if name not in ("wish", "env")} == {
                name: value for name, value in form.items() if name not in ("wish", "env")
            }
            assert '<option value="other" selected>' in response.text


@pytest.mark.parametrize("page", ["/containers/foo", "/containers/foo/execute"])
def test_a_command_that_is_sent_twice_is_run_once(site: Site, browser: Browser, page: str) -> None:
    site.services.creator.create("foo", PLAIN)
    ran = count()
    site.engine.commands["count"] = lambda _container, _cmd: ExecResult(f"run {next(ran)}", "", 0, False)
    fields = {**hidden(browser.page(page)), "command": "count"}
    late = beside(site, browser)
    first = press(browser, "/containers/foo/execute", fields).headers["Location"]
    redirected(press(late, "/containers/foo/execute", fields), first)
    shown = late.get(first)
    assert "run 0" in shown.text and notices(shown) == [AGAIN]


def test_only_who_typed_a_command_sees_the_secrets_in_it_again(site: Site, browser: Browser) -> None:
    site.services.creator.create("foo", PLAIN)
    line = "echo --password hush 'KEY=a b'"
    done = browser.submit("/containers/foo/execute", command=line)
    assert done.status_code == 303
    where = done.headers["Location"]
    assert typed(browser.page(where))["command"] == line
    stranger = site.browser()
    seen = stranger.page(where)
    assert "echo --password '••••••' 'KEY=••••••'" in text(seen) and 'name="command" value=""' in seen
    harmless = browser.submit("/containers/foo/execute", command="echo a").headers["Location"]
    assert typed(stranger.page(harmless))["command"] == "echo a"
    assert "hush" not in re.sub(r"<pre.*?</pre>", "", browser.page(where), flags=re.DOTALL)


def test_two_presses_reach_two_workers_of_a_real_server(api: Server) -> None:
    session = requests.Session()
    login = session.get(f"{api.url}/login", timeout=20).text
    session.post(f"{api.url}/login", data={**hidden(login), "token": TOKEN}, timeout=20)
    address = f"{api.url}/create/volume"
    fields = {**hidden(session.get(address, timeout=20).text), **VOLUME}

    def send(_number: int) -> tuple[int, str]:
        answer = requests.post(address, fields, cookies=session.cookies.get_dict(), allow_redirects=False, timeout=60)
        return answer.status_code, answer.headers.get("Location", answer.text)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(8))) == {(303, "/volumes/new")}
    assert [view["name"] for view in api.data("GET", "/volumes")["volumes"]] == ["new-0"]

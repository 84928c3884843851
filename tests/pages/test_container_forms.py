"""Creating, changing, stopping and deleting containers on the pages, without JavaScript, over working fakes."""

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from html import unescape

import pytest
from werkzeug.test import TestResponse

from app.errors import CommitFailed, DeleteFailed, StopFailed
from app.model.container import Bind
from app.model.names import parse
from app.ports import Put
from app.state.keys import NODES
from app.web.pages import form_actions
from tests.pages.test_pages import PLAIN, browser, notices, rows, site, text
from tests.support.site import Browser, Site
from tests.support.volumes import wait_for

__all__ = ["browser", "site"]
FIELDS = {
    "name": "foo",
    "image": "busybox:test",
    "gpus": "2",
    "command": "sh -c 'sleep 9'",
    "env": "A=1\nB=x y\n",
    "wish": "create",
}


def states(site: Site) -> dict[str, str]:
    return {container.name: container.state for container in site.engine.containers.values()}


def typed(html: str) -> dict[str, str]:
    """What is in the fields of a page's form."""
    found = re.findall(r'<input [^>]*?name="(\w+)"[^>]*?value="([^"]*)"', html)
    found += re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>(.*?)</textarea>', html, re.DOTALL)
    return {name: unescape(value) for name, value in reversed(found)}


def table(html: str) -> dict[str, tuple[str, str]]:
    """Before and after, by row."""
    found = re.findall(r'<tr><th scope="row">(.*?)</th>\s*<td>(.*?)</td>\s*<td>(.*?)</td></tr>', html, re.DOTALL)
    return {text(head): (text(before), text(after)) for head, before, after in found}


def refusal(response: TestResponse) -> str:
    """Why a form was not carried out; the request's id must be told with it."""
    (notice,) = (found for found in notices(response) if found.startswith("This was not done."))
    assert response.headers["X-Request-Id"] in notice
    return notice


def redirected(response: TestResponse, location: str) -> None:
    assert (response.status_code, response.headers["Location"]) == (303, location)


def test_the_form_offers_what_there_is(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    site.services.containers.create("other", replace(PLAIN, gpu_count=3))
    html = browser.page("/create/container")
    assert "<title>New container · gpudock</title>" in html and "5 of 8 are free:" in text(html)
    for offered in ("busybox:test", "vol-0", "/mnt/", "/data/"):
        assert f'<option value="{offered}">' in html
    assert typed(browser.page("/create/container?image=busybox:test"))["image"] == "busybox:test"


def test_a_container_is_created_with_everything_that_was_typed(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    token = browser.csrf("/create/container")
    response = browser.client.post(
        "/create/container",
        data={
            "csrf_token": token,
            **FIELDS,
            "mount_source": ["vol-0", "", "/data/foo"],
            "mount_place": ["/vol", "", "/foo"],
            "port_container": ["22", "80", ""],
            "port_host": ["2333", "", ""],
        },
    )
    redirected(response, "/containers/foo")
    assert notices(browser.get("/containers/foo")) == ["foo-0 is created and runs"]
    spec = site.services.containers.records.version(parse("foo")).spec
    assert (spec.gpu_count, spec.env, spec.cmd) == (2, ("A=1", "B=x y"), ("sh", "-c", "sleep 9"))
    assert spec.binds == (Bind("vol-0", "/vol"), Bind("/data/foo", "/foo"))
    assert [port.container for port in spec.ports] == [22, 80] and spec.ports[0].host == 2333


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "foo-bar", "the name contains '-'"),
        ("name", "", "containerName is missing"),
        ("image", "", "imageName is missing"),
        ("image", "absent:1", "there is no image"),
        ("gpus", "-1", "a whole number of GPUs"),
        ("gpus", "9", "1 more GPUs are needed|but 8 of 8|9"),
        ("env", "NOVALUE", "must read KEY=value"),
        ("env", "LD_PRELOAD=x", "is reserved"),
        ("command", "sh -c 'x", "a quotation mark is missing"),
        ("mount_source", "/etc", "lies outside|destination"),
        ("port_container", "99999", "ports must be from 1 to 65535"),
        ("port_container", "http", "ports are numbers"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(
    site: Site, browser: Browser, field: str, value: str, words: str
) -> None:
    fields = {**FIELDS, field: value}
    if field == "mount_source":
        fields["mount_place"] = "/x"
    response = browser.submit("/create/container", **fields)
    assert 400 <= response.status_code < 500
    refusal(response)
    name = {"mount_source": "mounts", "port_container": "ports"}.get(field, field)
    (said,) = re.findall(r'<p class="field-error" id="(\w+)-error">(.*?)</p>', response.text)
    assert said[0] == name and re.search(words, unescape(said[1]))
    assert f'aria-describedby="{name}-error"' in response.text
    kept = typed(response.text)
    assert {key: kept[key] for key in fields if key not in ("wish", "env")} == {
        key: value for key, value in fields.items() if key not in ("wish", "env")
    }
    assert kept["env"].split() == fields["env"].split() and states(site) == {}


def test_several_mistakes_are_said_at_once(browser: Browser) -> None:
    response = browser.submit("/create/container", name="a-b", image="", gpus="x", env="=", wish="create")
    assert len(re.findall('class="field-error"', response.text)) == 4


def test_more_rows_can_be_had_and_a_check_creates_nothing(site: Site, browser: Browser) -> None:
    assert browser.page("/create/container").count('name="mount_source"') == 2
    more = browser.submit(
        "/create/container", **{**FIELDS, "wish": "mounts", "mount_source": "vol", "mount_place": "/x"}
    )
    assert more.status_code == 200 and more.text.count('name="mount_source"') == 5
    assert typed(more.text)["name"] == "foo" and 'value="vol"' in more.text
    checked = browser.submit("/create/container", **{**FIELDS, "wish": "check"})
    assert "This can be created. It would be foo-0." in text(checked.text) and typed(checked.text)["gpus"] == "2"
    blocked = browser.submit("/create/container", **{**FIELDS, "wish": "check", "gpus": "9"})
    assert "This stands in the way:" in text(blocked.text) and 'id="gpus-error"' in blocked.text
    assert states(site) == {}


def test_an_existing_name_is_refused_with_the_form_kept(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    response = browser.submit("/create/container", **FIELDS)
    assert response.status_code == 409 and "exists already" in refusal(response)
    assert 'id="name-error"' in response.text and typed(response.text)["command"] == "sh -c 'sleep 9'"


def test_with_several_nodes_one_can_be_chosen(site: Site, browser: Browser) -> None:
    assert 'name="node"' not in browser.page("/create/container") + browser.page("/create/volume")
    site.store.transact({}, [Put(f"{NODES}other", {"schema": 1, "seen": 1.0})])
    for path in ("/create/container", "/create/volume"):
        assert re.findall(r'<option value="(other|test-node)">', browser.page(path)) == ["other", "test-node"]
    unknown = browser.submit("/create/container", **{**FIELDS, "node": "nowhere"})
    assert unknown.status_code == 404 and 'id="node-error"' in unknown.text
    away = browser.submit("/create/container", **{**FIELDS, "node": "other"})
    assert away.status_code == 503 and "other is unreachable" in text(away.text) and states(site) == {}
    assert browser.submit("/create/volume", name="vol", size="1MB", node="other").status_code == 503
    redirected(browser.submit("/create/container", **{**FIELDS, "node": "test-node"}), "/containers/foo")
    redirected(browser.submit("/create/volume", name="vol", size="1MB", node="test-node"), "/volumes/vol")


def test_stop_says_what_it_means_and_then_does_it(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=2))
    question = text(browser.page("/containers/foo-0/stop"))
    assert "Its 2 GPUs become free for others at once" in question and "perhaps with other GPUs" in question
    assert states(site) == {"foo-0": "running"}
    redirected(browser.submit("/containers/foo-0/stop"), "/containers/foo")
    assert notices(browser.get("/containers/foo")) == ["foo-0 is stopped; its GPUs are free"]
    assert states(site) == {"foo-0": "exited"} and notices(browser.get("/containers/foo")) == []
    again = browser.page("/containers/foo/stop")
    assert "This would change nothing" in again and '<form method="post" class="confirm"' not in again


def test_restart_says_whether_it_makes_a_version_with_other_gpus(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=2))
    running = text(browser.page("/containers/foo/restart"))
    assert "It stays this version" in running and "It keeps its 2 GPUs." in running
    site.services.containers.stop(parse("foo"))
    stopped = text(browser.page("/containers/foo/restart"))
    assert "comes back as the next version, foo-1" in stopped and "2 GPUs that are free now" in stopped
    redirected(browser.submit("/containers/foo/restart"), "/containers/foo")
    assert notices(browser.get("/containers/foo")) == ["foo-1 runs"] and states(site)["foo-1"] == "running"


def test_a_change_of_gpus_is_shown_before_it_is_done(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1))
    (container,) = site.engine.containers.values()
    site.engine.layers[container.upper_dir]["/root/x"] = "x" * (2 << 20)
    assert "It has 1 now; 7 of 8 are free." in text(browser.page("/containers/foo/gpus"))
    html = browser.page("/containers/foo/gpus?count=2")
    shown = table(html)
    assert shown["Version"] == ("foo-0", "foo-1") and shown["GPUs"] == ("1", "2")
    assert re.fullmatch(r"\d+ \d+ 1 new one, chosen again when it is done", shown["Which GPUs"][1])
    assert "To be copied 2 MB in 1 file" in text(html) and "Expected downtime about 0.5 s" in text(html)
    assert '<input type="hidden" name="count" value="2">' in html and states(site) == {"foo-0": "running"}
    redirected(browser.submit("/containers/foo/gpus", "/containers/foo/gpus?count=2", count="2"), "/containers/foo")
    assert notices(browser.get("/containers/foo")) == ["foo-1 runs with 2 GPUs"]


def test_what_stands_in_the_way_of_a_change_is_shown_and_there_is_no_button(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1))
    for count, words in (("50", "This stands in the way:"), ("1", "This would change nothing")):
        html = browser.page(f"/containers/foo/gpus?count={count}")
        assert words in html and 'class="confirm"' not in html
    for count in ("x", "-1", "1.5", "99999", "²"):
        response = browser.get(f"/containers/foo/gpus?count={count}")
        assert response.status_code == 400 and "a whole number" in refusal(response)
    refused = browser.submit("/containers/foo/gpus", "/containers/foo/gpus?count=2", count="50")
    assert refused.status_code == 409 and "more GPUs are needed" in refusal(refused)
    assert typed(refused.text)["count"] == "50" and states(site) == {"foo-0": "running"}


def test_a_volume_is_exchanged_after_a_look_at_it(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    site.services.containers.create("foo", replace(PLAIN, binds=(Bind("vol-0", "/vol"), Bind("/data/x", "/x"))))
    site.services.volumes.resize(parse("vol"), "2MB")
    form = browser.page("/containers/foo/volume")
    assert '<option value="/vol">' in form and '<option value="vol-1">' in form and "/x" not in form
    where = "/containers/foo/volume?dest=/vol&source=vol-1"
    html = browser.page(where)
    assert table(html)["mount /vol"] == ("vol-0", "vol-1")
    assert "What was written to vol-0 since vol-1 was made of it goes along." in text(html)
    redirected(browser.submit("/containers/foo/volume", where, dest="/vol", source="vol-1"), "/containers/foo")
    assert notices(browser.get("/containers/foo")) == ["foo-1 runs with vol-1 at /vol"]
    nothing = browser.submit("/containers/foo/volume", "/containers/foo/stop", dest="/x", source="vol-0")
    assert nothing.status_code == 400 and "choose a volume that it mounts" in refusal(nothing)
    refused = browser.submit("/containers/foo/volume", "/containers/foo/stop", dest="/vol", source="absent-0")
    assert refused.status_code == 404 and "absent-0" in refusal(refused)


def test_going_back_is_shown_before_it_is_done(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1))
    site.services.containers.change_gpus(parse("foo"), 3)
    html = browser.page("/containers/foo-0/rollback")
    assert "This makes foo-2 with the files and settings of foo-0 and starts it; foo-1 is stopped and kept." in text(
        html
    )
    assert table(html)["GPUs"] == ("3", "1") and "2 become free" in table(html)["Which GPUs"][1]
    redirected(browser.submit("/containers/foo-0/rollback"), "/containers/foo")
    assert notices(browser.get("/containers/foo")) == ["foo-2 runs with the files and settings of foo-0"]


def test_a_wrong_name_or_no_choice_deletes_nothing(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    for fields, words in (
        ({"typed": "foo", "scope": "erase"}, "type the name exactly"),
        ({"typed": "", "scope": "keep"}, "type the name exactly"),
        ({"typed": "foo-0"}, "choose what is to be deleted"),
        ({"typed": "foo-0", "scope": "all"}, "choose what is to be deleted"),
    ):
        response = browser.submit("/containers/foo/delete", **fields)
        assert response.status_code == 400 and words in refusal(response)
        assert typed(response.text)["typed"] == fields["typed"] and states(site) == {"foo-0": "running"}


@pytest.mark.parametrize(
    ("scope", "left", "record"),
    [("keep", {"foo-0"}, True), ("erase", {"foo-0"}, False), ("everything", set[str](), False)],
)
def test_what_was_chosen_is_deleted(site: Site, browser: Browser, scope: str, left: set[str], record: bool) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1))
    site.services.containers.change_gpus(parse("foo"), 2)
    question = text(browser.page("/containers/foo/delete"))
    assert "It runs." in question and "Its 2 GPUs become free" in question and "Older versions" in question
    response = browser.submit("/containers/foo/delete", typed="foo-1", scope=scope)
    redirected(response, "/containers/foo" if record else "/containers")
    assert set(states(site)) == left and (site.services.containers.records.find("foo") is not None) == record
    assert "is deleted" in notices(browser.get("/"))[0]
    assert not [view for view in site.services.gpus.all() if view.holder]


def test_an_older_version_is_deleted_alone(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.services.containers.change_gpus(parse("foo"), 1)
    question = text(browser.page("/containers/foo-0/delete"))
    assert "One cannot go back to it any more." in question and "Everything" not in question
    redirected(browser.submit("/containers/foo-0/delete", typed="foo-0", scope="erase"), "/containers/foo")
    assert states(site) == {"foo-1": "running"} and list(rows(browser.page("/containers"))) == ["foo-1"]


def test_of_one_that_holds_nothing_no_consequence_is_told(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    assert "What this means: It runs." in text(browser.page("/containers/foo/delete"))
    site.services.containers.stop(parse("foo"))
    html = browser.page("/containers/foo/delete")
    assert "What this means" not in html and not re.search(r"<ul>\s*</ul>", html) and "What goes" in html


def test_a_form_that_is_out_of_date_deletes_no_newer_version(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.services.containers.change_gpus(parse("foo"), 1)
    for scope in ("keep", "everything"):
        response = browser.submit("/containers/foo-0/delete", typed="foo-0", scope=scope)
        assert response.status_code == 400 and "foo-0 is not the newest version any more" in refusal(response)
    assert set(states(site)) == {"foo-0", "foo-1"}


def test_an_image_is_made_under_the_name_that_was_typed(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    assert "0 bytes" in text(browser.page("/containers/foo/commit"))
    assert "needs a name" in refusal(browser.submit("/containers/foo/commit", image=" "))
    taken = browser.submit("/containers/foo/commit", image="busybox:test")
    assert taken.status_code == 409 and typed(taken.text)["image"] == "busybox:test"
    site.engine.fail_next["commit"] = CommitFailed("the disk is full")
    failed = browser.submit("/containers/foo/commit", image="mine:1")
    assert failed.status_code == 500 and "the disk is full" in refusal(failed)
    redirected(browser.submit("/containers/foo/commit", image="mine:1"), "/containers/foo")
    assert notices(browser.get("/")) == ["foo-0 is now also the image mine:1"] and "mine:1" in site.engine.images


def test_what_fails_stays_on_the_page_with_its_request_id(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.engine.fail_next["stop"] = StopFailed("Docker would not")
    failed = browser.submit("/containers/foo/stop")
    assert failed.status_code == 500 and "foo-0 could not be stopped: Docker would not" in refusal(failed)
    site.engine.fail_next["stop"] = DeleteFailed("Docker would not")
    failed = browser.submit("/containers/foo/delete", typed="foo-0", scope="erase")
    assert failed.status_code == 500 and "foo-0 could not be deleted: Docker would not" in refusal(failed)


def test_an_older_version_is_not_changed(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.services.containers.change_gpus(parse("foo"), 1)
    for action, fields in (("stop", {}), ("restart", {}), ("gpus", {"count": "2"})):
        response = browser.submit(f"/containers/foo-0/{action}", "/containers/foo/stop", **fields)
        assert response.status_code == 409 and "foo-0 is not the newest version; use foo-1" in refusal(response)


@pytest.mark.parametrize("action", ["stop", "restart", "rollback", "gpus", "volume", "delete", "commit", "execute"])
def test_no_link_and_no_other_site_does_anything(site: Site, browser: Browser, action: str) -> None:
    site.services.containers.create("foo", PLAIN)
    calls = len(site.engine.calls)
    assert browser.get(f"/containers/foo-0/{action}?count=2&typed=foo-0&scope=erase&command=ls").status_code == 200
    everything = {"count": "2", "typed": "foo-0", "scope": "erase", "command": "ls", "image": "x"}
    assert browser.client.post(f"/containers/foo-0/{action}", data=everything).status_code == 400
    assert len(site.engine.calls) == calls


def test_what_takes_long_goes_on_by_itself_and_its_page_shows_it(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form_actions, "PATIENCE", 0.05)
    site.services.containers.create("foo", PLAIN)
    may_end, stop, start = threading.Event(), site.engine.stop, site.engine.start

    def slowly(work: Callable[[str], None]) -> Callable[[str], None]:
        return lambda ref: work(ref) if may_end.wait(20) else None

    monkeypatch.setattr(site.engine, "stop", slowly(stop))
    monkeypatch.setattr(site.engine, "start", slowly(start))
    redirected(browser.submit("/containers/foo/stop"), "/containers/foo")
    (notice, *_) = notices(browser.get("/containers/foo"))
    assert notice == "foo-0: stop is under way and goes on by itself"
    assert "stop foo-0 is under way" in text(browser.page("/containers/foo"))
    redirected(browser.submit("/create/container", **{**FIELDS, "name": "bar"}), "/operations?name=bar")
    assert browser.get("/containers/bar").status_code == 404
    may_end.set()
    wait_for(lambda: "under way" not in browser.page("/containers/foo"))
    wait_for(lambda: browser.get("/containers/bar").status_code == 200)
    assert states(site) == {"foo-0": "exited", "bar-0": "running"}

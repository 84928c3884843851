"""The pages of volumes, as their HTML tells them, over working fakes."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from app.errors import Unavailable
from app.model.container import Bind, Mount
from app.model.names import parse
from app.model.operation import Operation, new_id, now
from app.model.volume import NONE, QUOTA
from app.operations.base import Plan
from tests.pages.conftest import Clock
from tests.pages.test_container_forms import redirected, refusal, table, typed
from tests.pages.test_containers import steps
from tests.pages.test_pages import HOSTILE, PLAIN, browser, notices, rows, site, text
from tests.support.site import CLOSED, Browser, Site

__all__ = ["browser", "site"]
MB = 1 << 20
DOWN = Unavailable("docker", "Docker at unix:///nowhere.sock does not answer")


def make(site: Site, name: str, *sizes: str) -> None:
    """A volume with a version of each size."""
    site.services.volumes.create(name, sizes[0])
    for size in sizes[1:]:
        site.services.volumes.resize(parse(name), size)


def mount(site: Site, container: str, *binds: Bind) -> None:
    site.services.containers.create(container, replace(PLAIN, binds=binds))


def rewrite(site: Site, name: str, **changes: Any) -> None:
    """Change the record of a version."""
    records = site.services.volumes.records
    site.store.transact({}, [records.put(replace(records.version(parse(name)), **changes))])


def settings(html: str) -> dict[str, str]:
    found = re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", html, re.DOTALL)
    return {text(name): text(value) for name, value in found}


def test_the_list_shows_how_full_each_volume_is_and_who_mounts_it(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "30MB")
    site.volumes.write("vol-1", "x", "x" * (6 * MB))
    mount(site, "foo", Bind("vol-1", "/data"))
    mount(site, "bar", Bind("vol-1", "/other"))
    site.services.containers.stop(parse("bar"))
    html = browser.page("/volumes")
    row = rows(html)["vol-1"]
    assert row.startswith(
        "present 30MB 6 MB of 30 MB ✓ by own filesystem bar-0 at /other , does not run foo-0 at /data 2 20"
    )
    assert (
        f'<meter min="0" max="{30 * MB}" high="{27 * MB}" optimum="0" value="{6 * MB}"' in html
        and "<caption>1 volume</caption>" in html
    )
    for link in ("/volumes/vol", "/containers/foo-0", "/containers/bar-0"):
        assert f'href="{link}"' in html


def test_what_is_not_known_is_no_zero_and_ways_are_said_in_words(site: Site, browser: Browser) -> None:
    make(site, "own", "1GB")
    site.volumes.chosen = QUOTA
    make(site, "quota", "20GB")
    site.volumes.chosen = NONE
    make(site, "none", "2TB")
    html = browser.page("/volumes")
    shown = rows(html)
    assert shown["own-0"].startswith("present 1GB 0 bytes of 1 GB ✓ by own filesystem – 1 20")
    assert shown["quota-0"].startswith("present 20GB 0 bytes of 20 GB ✓ by project quota – 1 20")
    assert shown["none-0"].startswith("present 2TB – ⚠ not enforced – 1 20") and html.count("<meter") == 2
    told = settings(browser.page("/volumes/none"))
    assert told["In use"] == "–" and told["Enforced"] == "⚠ not enforced it can grow until the disk is full"


def test_no_volumes_none_that_fits_and_none_that_is_known_look_different(site: Site, browser: Browser) -> None:
    assert "No volumes yet." in browser.page("/volumes")
    make(site, "vol", "1MB")
    assert "No volume fits." in browser.page("/volumes?name=x") and "Show all" in browser.page("/volumes?name=x")
    site.store.dead = True
    response = browser.get("/volumes")
    (banner,) = notices(response)
    assert response.status_code == 200 and banner.startswith("etcd does not answer.")
    assert "as last known" in banner and list(rows(response.text)) == ["vol-0"]
    fresh = Site()
    fresh.store.dead = True
    assert "Not known at the moment." in fresh.browser().page("/volumes")


def test_the_list_is_filtered_by_name_and_state(site: Site, browser: Browser) -> None:
    for name in ("alpha", "beta", "alphabet"):
        make(site, name, "1MB")
    site.services.volumes.delete(parse("alphabet"), False, False)
    site.engine.volumes.discard("beta-0")
    assert list(rows(browser.page("/volumes"))) == ["alpha-0", "alphabet-0", "beta-0"]
    assert list(rows(browser.page("/volumes?name=alpha&state="))) == ["alpha-0", "alphabet-0"]
    for state, name in (("present", "alpha-0"), ("removed", "alphabet-0"), ("missing", "beta-0")):
        shown = rows(browser.page(f"/volumes?state={state}"))
        assert list(shown) == [name] and shown[name].startswith(f"{state} 1MB")
    assert len(rows(browser.page("/volumes?state=nonsense"))) == 3


def test_a_long_list_has_pages_that_keep_the_filter(site: Site, browser: Browser) -> None:
    for number in range(52):
        make(site, f"v{number:02}", "1MB")
    first = browser.page("/volumes?state=present")
    assert len(rows(first)) == 50
    link = re.search(r'rel="next" href="([^"]+)"', first)
    assert link and "state=present" in link[1]
    second = browser.page(unescape(link[1]))
    assert list(rows(second)) == ["v50-0", "v51-0"] and 'rel="next"' not in second and "Page 2 of 2" in second


def test_a_volume_s_page_shows_every_setting_and_the_versions_newest_first(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "30MB")
    site.volumes.write("vol-1", "x", "x" * (3 * MB // 2))
    mount(site, "foo", Bind("vol-1", "/data"))
    html = browser.page("/volumes/vol")
    assert "<title>vol-1 · gpudock</title>" in html and "<h1>vol-1 " in html and "older version" not in html
    told = settings(html)
    assert told.pop("Made by").startswith("resize from vol-0 , 20")
    assert told == {
        "Size": "30MB",
        "In use": "1.5 MB of 30 MB 1 file",
        "Enforced": "✓ by own filesystem",
        "Complete": "yes",
        "Mounted by": "foo-0 at /data",
        "Node": "test-node",
    }
    versions = steps(html)
    assert list(versions) == ["vol-1", "vol-0"]
    assert re.fullmatch(
        r"present you are here newest 20[0-9: -]+ UTC · resize · by [^·]+ · holds 1.5 MB size 10MB → 30MB foo-0 .*",
        versions["vol-1"],
    )
    assert re.fullmatch(
        r"present 20[0-9: -]+ UTC · create · by [^·]+ · holds 0 bytes 10MB Go back… Delete…", versions["vol-0"]
    )
    assert settings(browser.page("/volumes/vol-0"))["Made by"].startswith("create, 20")


def test_an_incomplete_volume_says_what_to_do(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "30MB")
    operation = Operation(new_id(), "volume", "foo", 1, "test-node", "this-process", now())
    rewrite(site, "vol-1", merging=operation.id)
    told = settings(browser.page("/volumes/vol"))["Complete"]
    assert (
        told.startswith("no: ") and "Move the container from vol-0 to it again" in told and told.endswith("version 0")
    )
    assert site.services.operations.journal.begin(Plan(operation=operation))
    assert settings(browser.page("/volumes/vol"))["Complete"].startswith("not yet: what was written to vol-0 is being")


def test_what_became_of_a_deleted_volume_is_said(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "30MB")
    site.services.volumes.delete(parse("vol-1"), False, False)
    assert settings(browser.page("/volumes/vol"))["Complete"].startswith("removed, but its data is kept")
    site.services.volumes.resize(parse("vol"), "40MB")
    assert settings(browser.page("/volumes/vol-1"))["Complete"] == "removed, and its data with it"
    site.engine.volumes.discard("vol-2")
    html = browser.page("/volumes/vol")
    assert settings(html)["Complete"].startswith("no: Docker lost") and text(html).count("vol-2 missing") == 2


def test_going_back_makes_the_next_version(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "30MB")
    assert "/volumes/vol-1/rollback" not in browser.page("/volumes/vol")
    old = browser.page("/volumes/vol-0")
    assert "This is an older version. The newest is vol-1 ." in text(old) and "/volumes/vol-0/rollback" in old
    html = browser.page("/volumes/vol-0/rollback")
    assert "This makes vol-2 with the data and size of vol-0; vol-1 is kept" in text(html)
    assert table(html)["Size"] == ("30MB", "10MB")
    redirected(browser.submit("/volumes/vol-0/rollback"), "/volumes/vol")
    after = browser.get("/volumes/vol")
    assert notices(after) == ["vol-2 holds what vol-0 holds"]
    assert "rollback to vol-0 · by these pages · holds 0 bytes size 30MB → 10MB" in steps(after.text)["vol-2"]


@pytest.mark.parametrize("fault", ["missing", "removed", "incomplete"])
def test_there_is_no_way_back_to_what_cannot_be_copied(site: Site, browser: Browser, fault: str) -> None:
    make(site, "vol", "10MB", "30MB", "40MB")
    if fault == "missing":
        site.engine.volumes.discard("vol-1")
    elif fault == "removed":
        site.services.volumes.delete(parse("vol-1"), False, False)
    else:
        rewrite(site, "vol-1", merging="one-that-broke-off")
    assert "/volumes/vol-1/rollback" not in browser.page("/volumes/vol-1")
    refused = browser.submit("/volumes/vol-1/rollback", "/volumes/vol-0/rollback")
    assert "vol-1" in refusal(refused) and refused.status_code in (404, 409)
    assert next(iter(steps(browser.page("/volumes/vol")))) == "vol-2"


def test_a_link_does_not_go_back_and_neither_does_another_site(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "30MB")
    for action in ("rollback", "resize", "delete"):
        query = {"size": "50MB", "typed": "vol-0", "scope": "erase"}
        assert browser.get(f"/volumes/vol-0/{action}", query_string=query).status_code == 200
        assert browser.client.post(f"/volumes/vol-0/{action}", data=query).status_code == 400
    assert list(steps(browser.page("/volumes/vol"))) == ["vol-1", "vol-0"]


def test_unknown_and_illegal_names_and_those_of_other_nodes_are_error_pages(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB")
    for path, status in (("/volumes/none", 404), ("/volumes/vol-1", 404), ("/volumes/vol-x", 400)):
        response = browser.get(path)
        assert response.status_code == status and response.mimetype == "text/html", path
    assert "there is no volume none" in text(browser.get("/volumes/none").text)
    other = Site(replace(CLOSED, token=None, node="other-node"))
    other.store._data, other.store._revision = site.store._data, site.store._revision
    html = other.browser().page("/volumes")
    assert rows(html)["vol-0"].startswith("unreachable 10MB –") and rows(html)["vol-0"].endswith("test-node")


def test_without_docker_the_records_are_still_shown(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "30MB")
    make(site, "other", "10MB")
    for path in ("/volumes", "/volumes/vol-0", "/volumes?name=vol"):
        site.engine.fail_next["mounts"] = DOWN
        response = browser.get(path)
        (banner, *_) = notices(response)
        assert banner.startswith("Docker does not answer.") and "unix:///nowhere.sock" in banner
        assert "unknown" in text(response.text) and "/rollback" not in response.text and "…</a>" not in response.text
    assert list(rows(response.text)) == ["vol-1"] and "not known" in rows(response.text)["vol-1"]
    site.engine.fail_next["mounts"] = DOWN
    assert browser.get("/volumes/none").status_code == 404


def test_without_docker_the_page_of_one_shows_what_was_known_of_it_last(
    site: Site, browser: Browser, clock: Clock
) -> None:
    make(site, "vol", "10MB", "30MB")
    browser.page("/volumes/vol")
    site.engine.fail_next["mounts"] = DOWN
    clock.now += 5
    html = browser.page("/volumes/vol-0")
    assert "vol-0 present" in text(html) and "as last known, 5.0 s ago" in html and "…</a>" not in html


def test_without_etcd_a_volume_s_page_says_so(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB")
    site.store.dead = True
    response = browser.get("/volumes/vol")
    assert response.status_code == 503 and "etcd at 127.0.0.1:2379 does not answer" in response.text


def test_what_others_wrote_is_shown_and_never_executed(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(site, "vol", "10MB", "30MB")
    rewrite(site, "vol-1", size=HOSTILE, why=HOSTILE, driver=HOSTILE, created=now())

    def mounts() -> dict[str, Sequence[Mount]]:
        return {"vol-1": [Mount(HOSTILE, HOSTILE, False, False)]}

    monkeypatch.setattr(site.engine, "mounts", mounts)
    for path in ("/volumes", "/volumes/vol"):
        html = browser.page(path)
        assert "<script>" not in html and HOSTILE in text(html), path
        assert "/containers/" not in html, "there is no such container"
    quoted = browser.get("/volumes", query_string={"name": '"><script>', "after": "<script>", "state": "<script>"})
    assert quoted.status_code == 200 and "<script>" not in quoted.text
    missing = browser.get("/volumes/<script>")
    assert missing.status_code == 400 and "<script>" not in missing.text


def test_the_list_is_filtered_and_sorted_by_what_stands_in_its_address(site: Site, browser: Browser) -> None:
    make(site, "b", "10MB")
    make(site, "a", "5MB", "20MB")
    site.volumes.chosen = NONE
    make(site, "c", "1MB")
    site.volumes.write("b-0", "x", "x" * MB)
    mount(site, "foo", Bind("c-0", "/data"))
    for query, order in (
        ("sort=size", "cba"),
        ("sort=-size", "abc"),
        ("sort=-used", "bac"),
        ("sort=used", "abc"),
        ("sort=-versions", "abc"),
        ("sort=-mounted", "cab"),
        ("way=none", "c"),
        ("way=loop&sort=-name", "ba"),
        ("mounted=yes", "c"),
        ("mounted=no", "ab"),
        ("node=elsewhere", ""),
    ):
        assert "".join(name[0] for name in rows(browser.page(f"/volumes?{query}"))) == order, query


def test_a_volume_is_created_by_the_form_and_mistakes_are_said_at_their_fields(site: Site, browser: Browser) -> None:
    assert "<title>New volume · gpudock</title>" in browser.page("/create/volume")
    for name, size, wrong in (("a-b", "1MB", ["name"]), ("a", "1XB", ["size"]), ("", "", ["name", "size"])):
        response = browser.submit("/create/volume", name=name, size=size, wish="create")
        assert response.status_code == 400 and refusal(response)
        assert re.findall(r'class="field-error" id="(\w+)-error"', response.text) == wrong
        assert (typed(response.text)["name"], typed(response.text)["size"]) == (name, size)
    checked = browser.submit("/create/volume", name="vol", size="10MB", wish="check")
    assert "This can be created. It would be vol-0." in text(checked.text) and not site.engine.volumes
    redirected(browser.submit("/create/volume", name="vol", size="10MB", wish="create"), "/volumes/vol")
    assert notices(browser.get("/volumes/vol")) == ["vol-0 is created"]
    taken = browser.submit("/create/volume", name="vol", size="10MB", wish="create")
    assert taken.status_code == 409 and 'id="name-error"' in taken.text
    site.volumes.chosen = NONE
    browser.submit("/create/volume", name="free", size="10MB", wish="create")
    assert notices(browser.get("/"))[0].startswith("free-0 is created; nothing keeps it from growing beyond 10MB")


def test_a_resize_is_shown_before_it_is_done(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB")
    site.volumes.write("vol-0", "x", "x" * (6 * MB))
    mount(site, "foo", Bind("vol-0", "/data"))
    assert typed(browser.page("/volumes/vol/resize"))["size"] == "10MB"
    html = browser.page("/volumes/vol/resize?size=20mb")
    assert table(html)["Size"] == ("10MB", "20MB") and table(html)["In use"] == ("6 MB of 10 MB", "6 MB of 20 MB")
    shown = text(html)
    assert "To be copied 6 MB in 1 file" in shown and "Containers stay with vol-0 until they are moved" in shown
    assert list(steps(browser.page("/volumes/vol"))) == ["vol-0"]
    redirected(browser.submit("/volumes/vol/resize", "/volumes/vol/resize?size=20MB", size="20MB"), "/volumes/vol")
    assert notices(browser.get("/volumes/vol")) == ["vol-1 has 20MB"]


def test_a_size_that_is_too_small_or_none_stands_in_the_way(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB")
    site.volumes.write("vol-0", "x", "x" * (6 * MB))
    small = browser.page("/volumes/vol/resize?size=5MB")
    assert "This stands in the way: vol-0 holds 6 MB, more than 5MB" in text(small) and 'class="confirm"' not in small
    assert "This would change nothing" in browser.page("/volumes/vol/resize?size=10240KB")
    wrong = browser.get("/volumes/vol/resize?size=5XB")
    assert wrong.status_code == 400 and "KB, MB, GB, TB" in refusal(wrong) and typed(wrong.text)["size"] == "5XB"
    refused = browser.submit("/volumes/vol/resize", "/volumes/vol/resize?size=20MB", size="5MB")
    assert refused.status_code == 409 and "vol-0 holds 6 MB" in refusal(refused)
    assert list(steps(browser.page("/volumes/vol"))) == ["vol-0"]


def test_a_wrong_name_deletes_nothing_and_the_right_one_what_was_chosen(site: Site, browser: Browser) -> None:
    for scope, left in (("keep", ["vol-0"]), ("erase", ["vol-0"]), ("everything", list[str]())):
        make(site, "vol", "10MB", "20MB")
        site.volumes.write("vol-1", "x", "x" * MB)
        assert "Its data (1 MB) is kept" in text(browser.page("/volumes/vol/delete"))
        wrong = browser.submit("/volumes/vol/delete", typed="vol", scope=scope)
        assert wrong.status_code == 400 and "type the name exactly" in refusal(wrong)
        assert sorted(site.engine.volumes) == ["vol-0", "vol-1"]
        response = browser.submit("/volumes/vol/delete", typed="vol-1", scope=scope)
        redirected(response, "/volumes/vol" if scope == "keep" else "/volumes")
        assert sorted(site.engine.volumes) == left
        site.store._data.clear()
        site.engine.volumes.clear()


def test_a_form_that_is_out_of_date_deletes_no_newer_version(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "20MB")
    for scope in ("keep", "everything"):
        response = browser.submit("/volumes/vol-0/delete", typed="vol-0", scope=scope)
        assert response.status_code == 400 and "vol-0 is not the newest version any more" in refusal(response)
    assert sorted(site.engine.volumes) == ["vol-0", "vol-1"]


def test_a_volume_that_is_mounted_is_not_deleted(site: Site, browser: Browser) -> None:
    make(site, "vol", "10MB", "20MB")
    mount(site, "foo", Bind("vol-0", "/data"))
    assert "This stands in the way: vol-0 is mounted by foo-0" in text(browser.page("/volumes/vol-0/delete"))
    everything = browser.submit("/volumes/vol/delete", typed="vol-1", scope="everything")
    assert everything.status_code == 400 and "foo-0 run on it" in refusal(everything)
    site.services.containers.stop(parse("foo"))
    refused = browser.submit("/volumes/vol-0/delete", typed="vol-0", scope="erase")
    assert refused.status_code == 409 and "still used by foo-0" in refusal(refused)
    redirected(browser.submit("/volumes/vol-0/delete", typed="vol-0", scope="erase", force="yes"), "/volumes/vol")
    assert list(steps(browser.page("/volumes/vol"))) == ["vol-1"]

"""The pages of images, as their HTML tells it, over working fakes."""

import re
from dataclasses import replace

import pytest

from app.errors import RegistryUnreachable
from app.images.pull import PullImage
from app.model.names import parse
from app.model.operation import Kind, Operation, new_id, now
from app.operations.base import Plan
from app.ports import Put
from app.state.keys import node_key
from tests.e2e.test_pages import HOSTILE, PLAIN, browser, notices, rows, site, text
from tests.support.site import Browser, Site

__all__ = ["browser", "site"]
OTHER, BARE = ("sha256:" + digit * 64 for digit in "12")


@pytest.fixture
def stocked(site: Site) -> Site:
    """One image with two names, one without any, one of which containers were made."""
    for name in ("other:1", "other:2"):
        site.images.registry[name] = OTHER
        site.services.operations.run(PullImage(name))
    site.engine.untagged.add(BARE)
    site.services.containers.create("foo", PLAIN)
    return site


def ticked(html: str) -> dict[str, bool]:
    """The boxes of the form, and whether each is ticked."""
    boxes = re.findall(r'<input type="checkbox" name="name" value="([^"]+)"( checked)?', html)
    return {name: bool(checked) for name, checked in boxes}


def test_the_list_tells_who_needs_an_image_and_of_what_it_is_a_commit(stocked: Site, browser: Browser) -> None:
    stocked.services.containers.commit(parse("foo"), "saved")
    html = browser.page("/images")
    found = rows(html)
    assert set(found) == {"other:1 other:2", "no name", "busybox:test", "saved:latest"}
    assert re.match(r"b{12} 4 MB 2026-11-24 10:00:00 foo-0 – Use Name$", found["busybox:test"]), found
    assert re.match(r"2{12} 4 MB 2026-11-24 10:00:00 unused – Name Remove$", found["no name"])
    assert " unused foo-0 Use Name Remove" in found["saved:latest"]
    assert html.count('href="/containers/foo-0"') == 2 and "4 images, newest first" in html
    assert set(rows(browser.page("/images?name=er:2"))) == {"other:1 other:2"}
    assert "busybox:test" not in rows(browser.page("/images?unused=yes"))
    assert "No image fits." in browser.page("/images?name=nothing")


def test_an_image_is_pulled(site: Site, browser: Browser) -> None:
    site.images.registry["hub:5000/new:1"] = OTHER
    for sentence in ("hub:5000/new:1 is here now", "hub:5000/new:1 was up to date"):
        response = browser.submit("/images", image=" hub:5000/new:1 ")
        assert (response.status_code, response.headers["Location"]) == (303, "/images")
        assert notices(browser.get("/images")) == [sentence]
    assert "hub:5000/new:1" in rows(browser.page("/images"))


@pytest.mark.parametrize(("name", "status", "words"), [("", 400, "missing"), ("new", 503, "not reachable: " + HOSTILE)])
def test_a_pull_that_is_refused_says_why_and_keeps_the_name(
    site: Site, browser: Browser, name: str, status: int, words: str
) -> None:
    site.images.fail_next = RegistryUnreachable(f"not reachable: {HOSTILE}")
    response = browser.submit("/images", image=name)
    (notice,) = notices(response)
    assert response.status_code == status and words in notice and "Request" in notice
    assert f'name="image" value="{name}"' in response.text and "<script>" not in response.text
    (polled,) = re.findall(r'<div id="live" hx-get="([^"]*)"', response.text)
    assert browser.get(polled, headers={"HX-Request": "true"}).status_code == 200


def test_what_is_being_pulled_is_shown_with_its_bytes_and_can_be_cancelled(site: Site, browser: Browser) -> None:
    operation = site.services.operations.runner.reader.draft(Kind.PULL, "test-node/new:1", 0, "images")
    live = site.services.operations.journal.begin(Plan(operation=replace(operation, owner="a-dead-process")))
    assert live is not None
    live.progress(0, None)
    html = browser.page("/images")
    assert re.match(r"claimed – [0-9.]+ s so far Cancel$", rows(html)["new:1"]), rows(html)
    shown = browser.page("/operations?kind=pull")
    assert "new:1 image on test-node" in text(shown) and 'href="/images?name=new:1&amp;node=test-node"' in shown
    browser.submit(f"/operations/{operation.id}/cancel", "/images", next="/images")
    response = browser.get("/images")
    assert notices(response) == ["pull new:1 was cancelled and undone"] and "Being pulled" not in response.text


def test_an_image_gets_one_more_name(stocked: Site, browser: Browser) -> None:
    page = f"/images/tag?image={OTHER}"
    assert "other:1, other:2" in browser.page(page)
    refused = browser.submit(page, name="busybox:test")
    assert refused.status_code == 409 and "already" in notices(refused)[0] and 'value="busybox:test"' in refused.text
    assert browser.submit(page, name="team/third").status_code == 303
    response = browser.get("/images")
    assert notices(response) == ["other:1 is also called team/third:latest"]
    assert "other:1 other:2 team/third:latest" in rows(response.text)
    assert browser.get("/images/tag?image=nothing").status_code == 404


def test_unused_images_are_shown_before_they_are_removed(stocked: Site, browser: Browser) -> None:
    html = browser.page("/images/remove")
    assert ticked(html) == {"other:1": False, "other:2": False, BARE: True}
    response = browser.client.post(
        "/images/remove", data={"csrf_token": browser.csrf("/images/remove"), "name": [BARE, "other:2", "busybox:test"]}
    )
    assert response.status_code == 303
    after = browser.get("/images")
    assert notices(after) == ["2 names or images were removed; 1 stays, since it is needed by now"]
    assert set(rows(after.text)) == {"other:1", "busybox:test"}


def test_one_image_is_removed_by_its_name_and_one_in_use_is_not(stocked: Site, browser: Browser) -> None:
    html = browser.page(f"/images/remove?image={OTHER}")
    assert ticked(html) == {"other:1": True, "other:2": True}
    needed = browser.page("/images/remove?image=busybox:test")
    assert "busybox:test stays: it is needed by foo-0." in text(needed) and not ticked(needed)
    assert "Nothing of this can be removed." in needed


def test_without_docker_the_images_known_last_are_shown(stocked: Site, browser: Browser) -> None:
    before = rows(browser.page("/images"))
    stocked.engine.dead = True
    response = browser.get("/images")
    assert rows(response.text) == before and "as last known" in notices(response)[0]
    assert "Not known at the moment." in browser.page("/images?name=other")


def test_the_page_of_an_operation_tells_its_steps_and_what_became_of_it(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=1))
    (view,) = site.services.operations.queries.all().operations
    html = browser.page(f"/operations/{view.operation.id}")
    assert list(rows(html)) == ["claimed", "starting"] and "so far" not in html
    assert re.search(r"GPUs newly taken [0-7] ", text(html)) and "/cancel" not in html
    site.images.fail_next = RegistryUnreachable(HOSTILE)
    browser.submit("/images", image="new")
    failed = site.services.operations.queries.all(kind="pull").operations[0]
    html = browser.page(f"/operations/{failed.operation.id}")
    assert "Asked for by these pages" in text(html)
    assert f"code 2110 : {HOSTILE}" in text(html) and "<script>" not in html
    assert f"code 2110 : {HOSTILE}" in text(browser.page("/operations"))
    assert browser.get("/operations/none").status_code == 404


def test_the_page_of_a_running_operation_keeps_itself_up_to_date(site: Site, browser: Browser) -> None:
    operation = Operation(new_id(), "create", "foo", 0, "test-node", "this-process", now())
    live = site.services.operations.journal.begin(Plan(operation=operation))
    assert live is not None
    path = f"/operations/{operation.id}"
    first = browser.get(path, headers={"HX-Request": "true"})
    assert "Everything that it did so far is undone." in first.text and "<html" not in first.text
    live.step("starting")
    second = browser.get(path, headers={"HX-Request": "true", "If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200 and list(rows(second.text)) == ["claimed", "starting"]


def test_operations_are_filtered_by_kind(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    site.services.containers.stop(parse("foo"))
    assert list(rows(browser.page("/operations?kind=stop"))) == ["stop"]
    assert list(rows(browser.page("/operations?kind=nonsense"))) == ["stop", "create"]
    assert "No operation fits." in browser.page("/operations?kind=resize")


def test_images_of_another_node_are_asked_of_that(site: Site, browser: Browser) -> None:
    assert browser.get("/images?node=test-node").status_code == 200
    assert "Images on" not in browser.page("/images")
    for path in ("/images?node=nothing", "/api/v1/images?node=nothing"):
        assert browser.get(path).status_code == 404
    site.store.transact({}, [Put(node_key("another"), {"schema": 1, "seen": now(), "outages": []})])
    for path in ("/images?node=another", "/images/remove?node=another", "/api/v1/images?node=another"):
        response = browser.get(path)
        assert response.status_code == 503 and "another" in response.text, path
    html = browser.page("/images?node=test-node")
    assert "Images on test-node" in text(html) and 'action="/images?node=test-node"' in html

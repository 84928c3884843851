"""The pages say in words what is not as gpudock left it, over working fakes."""

import pytest

from app.model.container import Bind, Spec
from app.model.names import parse
from tests.pages.test_pages import notices, rows, text
from tests.support.site import Browser, Site

PLAIN = Spec(image="busybox:test", cmd=("sh",))


@pytest.fixture
def site() -> Site:
    site = Site()
    site.services.containers.create("foo", PLAIN)
    return site


@pytest.fixture
def browser(site: Site) -> Browser:
    return site.browser()


def test_where_all_is_well_nothing_is_said(browser: Browser) -> None:
    assert notices(browser.get("/containers/foo")) == []
    for path in ("/", "/containers", "/containers/foo"):
        assert "drift" not in text(browser.page(path)) and "Left over" not in browser.page(path)


def test_a_container_s_page_says_what_and_what_to_do_and_the_lists_mark_it(site: Site, browser: Browser) -> None:
    (container,) = site.engine.containers.values()
    container.name = "mine"
    (notice,) = notices(browser.get("/containers/foo"))
    assert notice.startswith("Somebody renamed foo-0 to mine in Docker. What to do: give it its name back")
    assert rows(browser.page("/containers"))["foo-0"].startswith("running drift renamed busybox:test")


def test_a_state_that_says_it_all_needs_no_other_mark(site: Site, browser: Browser) -> None:
    site.engine.remove("foo-0")
    assert rows(browser.page("/containers"))["foo-0"].startswith("missing busybox:test")
    (notice,) = notices(browser.get("/containers/foo"))
    assert "Docker has no container foo-0 any more" in notice


def test_an_older_version_that_runs_is_said_on_its_page_and_on_the_newest_one_s(site: Site, browser: Browser) -> None:
    site.services.containers.change_gpus(parse("foo"), 1)
    site.engine.start("foo-0")
    for path in ("/containers/foo", "/containers/foo-0"):
        assert any("foo-0 runs, an older version than foo-1" in notice for notice in notices(browser.get(path)))
    assert "foo-0 running drift older version runs" in text(browser.page("/containers/foo"))


def test_what_an_erased_family_left_in_docker_is_listed(site: Site, browser: Browser) -> None:
    site.services.containers.change_gpus(parse("foo"), 1)
    site.services.containers.delete(parse("foo-1"), force=True, erase=True)
    html = browser.page("/containers")
    assert "Left over in Docker" in html and "No containers yet." in html
    assert "DELETE /api/v1/containers/foo-0" in rows(html)["foo-0"]
    assert "Left over" not in browser.page("/containers?name=bar")


def test_a_volume_s_page_says_what_and_the_list_marks_it(site: Site, browser: Browser) -> None:
    site.services.volumes.create("vol", "1MB")
    assert notices(browser.get("/volumes/vol")) == [] and "drift" not in text(browser.page("/volumes"))
    site.engine.add_foreign("<stranger>", spec=Spec("busybox:test", binds=(Bind("vol-0", "/x"),)))
    (notice,) = notices(browser.get("/volumes/vol"))
    assert notice.startswith("<stranger>, a container that gpudock does not manage, mounts vol-0. What to do: take it")
    assert rows(browser.page("/volumes"))["vol-0"].startswith("present drift mounted by others 1MB")
    assert "<stranger>" not in browser.page("/volumes") + browser.page("/volumes/vol")
    site.engine.remove("<stranger>")
    site.engine.volumes.discard("vol-0")
    (notice,) = notices(browser.get("/volumes/vol"))
    assert "Docker has no volume vol-0 any more" in notice
    assert rows(browser.page("/volumes"))["vol-0"].startswith("missing 1MB")

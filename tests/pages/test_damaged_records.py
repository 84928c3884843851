"""Pages, and the API's lists, while a record in etcd cannot be read, over working fakes."""

import html
import json

import pytest
from hypothesis import HealthCheck, given, settings

from app.ports import Put
from tests.support.damage import DAMAGES, Damage
from tests.support.furnished import fail_once, furnish
from tests.support.site import Site

PAGES = ("/", "/containers", "/volumes", "/gpus", "/operations", "/images")
LISTS = ("containers", "volumes", "gpus?detail=true", "gpus", "operations", "images", "nodes", "records/unreadable")


def furnished() -> Site:
    site = Site()
    furnish(site.services, site.store)
    fail_once(site.services, site.images)
    return site


@pytest.fixture(scope="module")
def well() -> tuple[Site, dict[str, tuple[str, int]]]:
    """A site, and what its store holds while all is well."""
    site = furnished()
    return site, site.store.snapshot()


@given(damage=DAMAGES)
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
def test_no_damage_to_one_record_breaks_a_page_or_a_list(
    well: tuple[Site, dict[str, tuple[str, int]]], damage: Damage
) -> None:
    site, kept = well
    site.store.bring_back(kept)
    damage.do(site.store, sorted(kept))
    for path in (*PAGES, *(f"/api/v1/{name}" for name in LISTS)):
        answer = site.browser().get(path)
        assert answer.status_code == 200, f"{path}: {answer.text[:500]}"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_overview_and_the_api_name_the_record(language: str) -> None:
    site = furnished()
    site.store.transact({}, [Put("/containers/foo", {"family": "foo", "current": "secret"})])
    page = html.unescape(site.browser().get("/", headers={"Accept-Language": language}).text)
    assert "/containers/foo" in page and "secret" not in page
    assert ("unreadable" in page) == (language == "en")
    answer = site.browser().get("/api/v1/records/unreadable").json
    assert answer and [found["key"] for found in answer["data"]["unreadable"]] == ["/containers/foo"]
    assert "current: a text is not a whole number" in answer["data"]["unreadable"][0]["problem"]


def test_what_is_asked_for_itself_is_an_error_that_names_the_key_and_a_change_is_refused() -> None:
    site = furnished()
    site.store.damage("/containers/foo", "{")
    browser = site.browser().client
    body = {"imageName": "busybox:test", "containerName": "foo"}
    for answer in (
        browser.get("/api/v1/containers/foo"),
        browser.patch("/api/v1/containers/foo/gpu", json={"gpuCount": 2}),
        browser.delete("/api/v1/containers/foo", json={"force": True}),
        browser.post("/api/v1/containers", json=body),
    ):
        told = json.loads(answer.text)
        assert (answer.status_code, told["code"], told["data"]["key"]) == (500, 2123, "/containers/foo"), answer.text
    page = browser.get("/containers/foo")
    assert page.status_code == 500 and "/containers/foo" in page.text
    assert "/containers/foo" in site.store.snapshot()

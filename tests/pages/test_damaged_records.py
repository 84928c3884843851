"""Pages, and the API's lists, while a record in etcd cannot be read, over working fakes."""

import html
import json

import pytest
from hypothesis import HealthCheck, given, settings

from app.model.container import Spec
from app.model.names import Name
from app.ports import Put
from tests.support.damage import DAMAGES, Damage
from tests.support.furnished import fail_once, furnish
from tests.support.site import Site
from tests.support.world import CONFIG

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


def claim(site: Site) -> dict[str, object]:
    (entry, *_) = site.store.list("/gpus/")
    return entry.value


@pytest.mark.parametrize(
    "key",
    [
        *(f"/ports/{CONFIG.node}/{port}" for port in ("abc", "", "٣", "007", "9" * 5000, "-1")),
        *(f"/containers/foo/versions/{version}" for version in ("xyz", "", "٣", "01", "9" * 5000, "-1")),
        f"/gpus/{CONFIG.node}/",
        "/containers/",
        "/volumes/",
        "/volumes/vol/versions/x",
        "/containers/\N{REPLACEMENT CHARACTER}",
        f"/gpus/{CONFIG.node}/\N{REPLACEMENT CHARACTER}",
    ],
)
def test_a_key_that_no_record_has_breaks_nothing_and_is_told(key: str) -> None:
    site = furnished()
    site.store.damage(key, json.dumps(claim(site)))
    site.services.agent.reconciler.once()
    site.services.agent.presence.report()
    for path in (*PAGES, *(f"/api/v1/{name}" for name in LISTS)):
        assert site.browser().get(path).status_code == 200, path
    told = site.browser().get("/api/v1/records/unreadable").json
    assert told and [found["key"] for found in told["data"]["unreadable"]] == [key]
    site.services.containers.create("new", Spec("busybox:test", cmd=("sh",)))
    site.services.containers.delete(Name("new"), force=True, erase=True)
    assert key in site.store.snapshot()


def nested(levels: int) -> object:
    value: object = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("key", "damage"),
    [
        ("/containers/foo", {"deep": nested(480)}),
        ("/containers/foo", {"deep": nested(65)}),
        ("/containers/foo/versions/1", {"image_id": "\ud800x"}),
        (f"/nodes/{CONFIG.node}", {"seen": 1e308}),
        (f"/nodes/{CONFIG.node}", {"seen": 1e300, "outages": [[1e300, 1e300]]}),
        (f"/nodes/{CONFIG.node}", {"seen": -1.0}),
    ],
)
def test_a_value_that_no_page_could_show_makes_the_record_unreadable(key: str, damage: dict[str, object]) -> None:
    site = furnished()
    stored = site.store.get(key)
    site.store.damage(key, json.dumps({**(stored.value if stored else {}), **damage}))
    for path in (*PAGES, *(f"/api/v1/{name}" for name in LISTS)):
        assert site.browser().get(path).status_code == 200, path
    told = site.browser().get("/api/v1/records/unreadable").json
    assert told and [found["key"] for found in told["data"]["unreadable"]] == [key]


def test_a_field_of_a_later_gpudock_may_nest_some_levels() -> None:
    site = furnished()
    stored = site.store.get("/containers/foo")
    assert stored
    site.store.damage(stored.key, json.dumps({**stored.value, "deep": [nested(40)] * 100}))
    assert site.browser().get("/api/v1/containers/foo").status_code == 200


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

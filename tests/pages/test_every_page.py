"""What holds for every page, over working fakes: it is whole, and its forms and links lead somewhere."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app.errors import RegistryUnreachable
from app.images.pull import PullImage
from app.model.container import Bind, Spec
from app.model.names import parse
from tests.support.html import Element, read
from tests.support.pages import PAGES, Page
from tests.support.site import CLOSED, Browser, Site
from tests.support.stuck import stuck_commit

PLAIN = Spec(image="busybox:test", cmd=("sh",))
LANGUAGES = ("en", "zh-CN")


class Scene:
    """A site with a little of everything, and who looks at it: logged in or not."""

    def __init__(self) -> None:
        self.site = Site(CLOSED)
        services = self.site.services
        services.volumes.create("vol", "1MB")
        services.volumes.resize(parse("vol"), "2MB")
        services.containers.create(
            "foo", replace(PLAIN, gpu_count=1, binds=(Bind("vol-1", "/data"),), env=("KEY=word",))
        )
        services.containers.change_gpus(parse("foo"), 2)
        services.containers.create("bar", PLAIN)
        services.containers.stop(parse("bar"))
        self.site.images.fail_next = RegistryUnreachable("the registry cannot be reached")
        with pytest.raises(RegistryUnreachable):
            services.operations.run(PullImage("new"))
        services.containers.create("baz", PLAIN)
        stuck = stuck_commit(services, self.site.store, "baz")
        self.inside, self.outside = self.site.operator(), self.site.browser()
        self.names = {
            "gpu": services.gpus.all()[0].gpu.uuid,
            "image": services.images.all()[0].image.id,
            "done": services.operations.queries.all(state="done").operations[0].operation.id,
            "failed": services.operations.queries.all(state="undone").operations[0].operation.id,
            "stuck": stuck.id,
        }

    def get(self, page: Page, **headers: str) -> TestResponse:
        browser: Browser = self.inside if page.inside else self.outside
        return browser.get(page.path.format(**self.names), headers=headers)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@every_page
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_a_whole_page(scene: Scene, page: Page, language: str) -> None:
    response = scene.get(page, **{"Accept-Language": language})
    assert response.status_code == page.status, response.text
    document = read(response.text)
    (html,), (title,), (heading,) = document.all("html"), document.all("title"), document.all("h1")
    assert html.attributes["lang"] == language
    assert title.text.endswith(" · gpudock") and len(title.text) > 10 and heading.text
    identities = [element.attributes["id"] for element in document.all() if "id" in element.attributes]
    assert len(identities) == len(set(identities))
    headings = [int(element.tag[1]) for element in document.all("h1", "h2", "h3", "h4")]
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings)), headings


@every_page
def test_it_keeps_to_the_strict_policy(scene: Scene, page: Page) -> None:
    for element in read(scene.get(page).text).all():
        assert element.tag != "style" and "style" not in element.attributes, element
        assert not [name for name in element.attributes if name.startswith(("on", "hx-on"))], element
        if element.tag == "script":
            assert element.attributes["src"].startswith("/static/") and not element.text


@every_page
def test_what_one_can_use_on_it_has_a_name(scene: Scene, page: Page) -> None:
    document = read(scene.get(page).text)
    labelled = {element.attributes.get("for") for element in document.all("label")}
    for control in document.all("input", "select", "textarea"):
        if control.attributes.get("type") != "hidden":
            named = control.inside("label") or control.attributes.get("id") in labelled
            assert named or {"aria-label", "aria-labelledby"} & set(control.attributes), control
    for element in document.all("button", "a", "summary"):
        hidden = element.attributes.get("aria-hidden") == "true"
        assert hidden or element.text or element.attributes.get("aria-label"), element.attributes
    for element in document.all("meter", "progress"):
        assert element.attributes.get("aria-label"), element
    for table in document.all("table"):
        assert table.all("caption"), "a table without a caption"
        assert all(head.attributes.get("scope") in ("col", "row") for head in table.all("th")), page


@every_page
def test_its_forms_are_understood(scene: Scene, page: Page) -> None:
    path = page.path.format(**scene.names)
    for form in read(scene.get(page).text).all("form"):
        method, action = form.attributes.get("method", "get").upper(), form.attributes.get("action") or path
        try:
            scene.site.app.url_map.bind("localhost").match(action.partition("?")[0], method=method)
        except HTTPException as exc:
            pytest.fail(f"{method} {action}: {exc}")
        tokens = [field for field in form.all("input") if field.attributes.get("name") == "csrf_token"]
        assert len(tokens) == (method == "POST"), action
        assert form.all("button"), action


def test_no_page_is_forgotten(scene: Scene) -> None:
    rules = scene.site.app.url_map
    seen = {rules.bind("localhost").match(page.path.partition("?")[0])[0] for page in PAGES if page.name != "not-found"}
    pages = {
        rule.endpoint for rule in rules.iter_rules() if rule.endpoint.startswith("pages.") and "GET" in rule.methods
    }
    assert pages - seen == {"pages.readings"}, "its data, for the charts"


def test_every_link_leads_to_a_page(scene: Scene) -> None:
    known, begin = set[str](), [page for page in PAGES if page.inside and page.status == 200]
    waiting = [page.path.format(**scene.names) for page in begin]
    while waiting:
        path = waiting.pop().partition("#")[0]
        if path in known or re.search(r"[?&](lang|theme)=", path):
            continue
        known.add(path)
        with scene.inside.get(path) as response:
            assert response.status_code == 200, f"{path}: {response.status_code}"
            waiting += _addresses(read(response.text)) if response.mimetype == "text/html" else []
    assert len(known) > len(PAGES)


@every_page
def test_its_live_parts_are_there(scene: Scene, page: Page) -> None:
    for element in read(scene.get(page).text).all():
        if address := element.attributes.get("hx-get"):
            part = scene.inside.get(address, headers={"HX-Request": "true"})
            assert part.status_code == 200 and "<html" not in part.text, address
            again = scene.inside.get(address, headers={"HX-Request": "true", "If-None-Match": part.headers["ETag"]})
            assert again.status_code == 304, f"{address} is another one each time"


@pytest.mark.parametrize("part", ["engine", "store"])
def test_no_page_breaks_while_a_part_is_down(part: str) -> None:
    scene = Scene()
    getattr(scene.site, part).dead = True
    for page in PAGES:
        response = scene.get(page)
        assert response.status_code in (page.status, 503), (page, response.text)
        assert "<h1" in response.text and "defect" not in response.text, page


def test_etcd_is_asked_as_often_for_many_as_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = _reads(3, monkeypatch), _reads(20, monkeypatch)
    assert few == many and all(0 < sum(reads.values()) < 40 for reads in few.values()), few


def _reads(count: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter[str]]:
    """How often each list of a site with so many containers and volumes, and one of these, asks etcd for what."""
    site, found, read = Site(), {}, Counter[str]()
    for number in range(count):
        site.services.volumes.create(f"vol{number}", "1MB")
        site.services.containers.create(f"c{number}", PLAIN)
    for method in ("get", "list"):
        real = getattr(site.store, method)
        monkeypatch.setattr(site.store, method, lambda *a, m=method, real=real: (read.update([m]), real(*a))[1])
    for path in ("/", "/gpus", "/containers", "/containers/c0", "/volumes", "/volumes/vol0", "/images", "/operations"):
        read.clear()
        site.browser().page(path)
        found[path] = read.copy()
    return found


def _addresses(document: Element) -> list[str]:
    linking = document.all("a", "link", "script", "img")
    found = [element.attributes.get("href") or element.attributes.get("src", "") for element in linking]
    return [address for address in found if address.startswith("/")]

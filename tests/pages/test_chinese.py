"""What the services tell is said in Chinese on Chinese pages, over working fakes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.errors import DomainError, RegistryUnreachable, StartRefused, Unavailable
from app.images.pull import PullImage
from app.model.container import Bind, Spec
from app.model.gpu import GpuProcess
from app.model.gpu_health import OutOfService, xid_fault
from app.model.messages import Text
from app.model.names import parse
from app.model.node import Node
from app.ports import Put
from app.state.codec import encode
from tests.support.chinese import chinese, english_on
from tests.support.pages import PAGES, Page
from tests.support.site import Browser, Site
from tests.support.stuck import stuck_commit

PLAIN = Spec(image="busybox:test", cmd=("sh",))
CHINESE = {"Accept-Language": "zh-CN"}
OF_REGISTRY = Text("the registry of {name} cannot be reached from this host: {why}", name="new", why="no route")
OF_START = Text("the container cannot be started as described: {why}", why="no such program")
OF_GPU = Text("the GPU does not answer: {why}", why="Unknown Error")
OF_DOCKER = Text("Docker does not answer; see whether its service runs")
OF_ETCD = Text("etcd does not answer at {places}; check that it runs and that GPUDOCK_ETCD names it", places="etcd:1")


class Trouble:
    """A site where much is not as it should be, and a browser of somebody who reads Chinese."""

    def __init__(self) -> None:
        self.site = Site()
        self.browser: Browser = self.site.browser()
        self._make()
        self._spoil_containers()
        self._spoil_gpus()
        services = self.site.services
        services.containers.create("baz", PLAIN)
        self.names = {
            "stuck": stuck_commit(services, self.site.store, "baz", OF_DOCKER).id,
            "gpu": self.xid.uuid,
            "image": services.images.all()[0].image.id,
            "done": services.operations.queries.all(state="done").operations[0].operation.id,
            "failed": services.operations.queries.all(state="undone").operations[0].operation.id,
        }

    def _make(self) -> None:
        """What PAGES need, a change and a pull that fail."""
        services = self.site.services
        services.volumes.create("vol", "1MB")
        services.volumes.resize(parse("vol"), "2MB")
        services.containers.create("foo", replace(PLAIN, gpu_count=1, binds=(Bind("vol-1", "/data"),)))
        services.containers.change_gpus(parse("foo"), 2)
        services.containers.create("bar", PLAIN)
        self.site.engine.fail_next["start"] = StartRefused(OF_START)
        self.refusal(lambda: services.containers.change_gpus(parse("foo"), 3))
        self.site.images.fail_next = RegistryUnreachable(OF_REGISTRY)
        self.refusal(lambda: services.operations.run(PullImage("new")))

    def _spoil_containers(self) -> None:
        """Change behind gpudock's back what it made."""
        services, engine = self.site.services, self.site.engine
        services.containers.create("erased", PLAIN)
        services.containers.change_gpus(parse("erased"), 1)
        services.containers.delete(parse("erased-1"), force=True, erase=True)
        services.containers.create("lost", PLAIN)
        engine.remove("lost-0")
        engine.start("foo-0")
        next(each for each in engine.containers.values() if each.name == "bar-0").name = "mine"

    def _spoil_gpus(self) -> None:
        """Have GPUs that are not given out, each for another reason, and a silent node."""
        gpus, node = self.site.services.gpus, self.site.services.config.node
        self.xid, self.mute, drained, used = [view.gpu for view in gpus.all() if view.free][:4]
        out = OutOfService("2026-01-02T03:04:05.678+00:00", self.xid.index, fault=xid_fault(79), code=79)
        self.site.store.transact({}, [Put(f"/health/{node}/{self.xid.uuid}", encode(out))])
        gpus.schedule(drained.uuid, False)
        self.site.inventory.changes = {
            self.mute.index: {"fault": OF_GPU},
            used.index: {"processes": (GpuProcess(4242, None, None),)},
        }
        silence = Node("far", url="http://far:1", problem=OF_DOCKER).silence
        far = replace(gpus.here()[0], gpu=replace(self.xid, uuid="GPU-far"), node="far", silence=silence)
        gpus.elsewhere = lambda: [far]

    def refusal(self, work: Callable[[], object]) -> DomainError:
        """The error that `work` ends with."""
        with pytest.raises(DomainError) as found:
            work()
        return found.value

    def get(self, path: str, status: int = 200) -> str:
        return read(self.browser.get(path, headers=CHINESE), status)

    def send(self, path: str, status: int, **fields: str) -> str:
        """The page that answers a form."""
        data = {"csrf_token": self.browser.csrf("/images"), **fields}
        return read(self.browser.client.post(path, data=data, headers=CHINESE, follow_redirects=True), status)


def read(response: TestResponse, status: int) -> str:
    """The page, on which nothing of the services may be left in English."""
    assert response.status_code == status, response.text
    assert '<html lang="zh-CN"' in response.text
    assert english_on(response.text) == []
    return unescape(response.text)


@pytest.fixture(scope="module")
def trouble() -> Iterator[Trouble]:
    yield Trouble()


@pytest.mark.parametrize("page", [page for page in PAGES if page.inside], ids=lambda page: page.name)
def test_no_page_tells_troubles_in_english(trouble: Trouble, page: Page) -> None:
    trouble.get(page.path.format(**trouble.names), page.status)


def test_english_would_be_found(trouble: Trouble) -> None:
    found = english_on(trouble.browser.page("/"))
    assert OF_REGISTRY.template in found and OF_DOCKER.template in found and "it has fallen off the bus" in found


def test_drift_and_what_to_do_about_it(trouble: Trouble) -> None:
    (drift,) = trouble.site.services.containers.queries.show(parse("bar")).drift
    for path in ("/", "/containers/bar"):
        html = trouble.get(path)
        assert chinese(drift.reason) in html and chinese(drift.advice) in html, path
    assert chinese(drift.reason) in trouble.get("/containers")


def test_why_a_gpu_is_not_given_out(trouble: Trouble) -> None:
    view = next(view for view in trouble.site.services.gpus.all() if view.gpu.uuid == trouble.xid.uuid)
    assert view.fault and view.advice
    for path in ("/", "/gpus", f"/gpus/{trouble.xid.uuid}"):
        html = trouble.get(path)
        assert chinese(view.fault) in html and chinese(view.advice) in html, path


def test_what_an_operation_ended_with_is_read_back(trouble: Trouble) -> None:
    for path in ("/operations", f"/operations/{trouble.names['failed']}", "/"):
        assert chinese(OF_REGISTRY) in trouble.get(path), path
    assert chinese(OF_START) in trouble.get("/containers/foo")


def test_what_is_not_there(trouble: Trouble) -> None:
    missing = trouble.refusal(lambda: trouble.site.services.containers.queries.show(parse("nothing")))
    assert chinese(missing.message) in trouble.get("/containers/nothing", 404)
    assert chinese(Text("there is nothing at {path}; see /api/docs", path="/nothing")) in trouble.get("/nothing", 404)


CONTAINER = {"image": "busybox:test", "gpus": "0", "wish": "create"}
# By what is wrong: the form's address and fields, the status of the answer, and the use case that says the same.
REFUSED: dict[str, tuple[str, dict[str, str], int, Callable[[Any], object]]] = {
    "a dash": (
        "/create/container",
        CONTAINER | {"name": "a-b"},
        400,
        lambda services: services.containers.create("a-b", PLAIN),
    ),
    "too few GPUs": (
        "/create/container",
        CONTAINER | {"name": "big", "gpus": "9"},
        409,
        lambda services: services.containers.create("big", replace(PLAIN, gpu_count=9)),
    ),
    "too few GPUs, looked at before": (
        "/create/container",
        CONTAINER | {"name": "big", "gpus": "9", "wish": "check"},
        200,
        lambda services: services.containers.create("big", replace(PLAIN, gpu_count=9)),
    ),
    "a name that is taken": (
        "/create/container",
        CONTAINER | {"name": "foo"},
        409,
        lambda services: services.containers.create("foo", PLAIN),
    ),
    "an unknown unit": (
        "/create/volume",
        {"name": "more", "size": "1XB", "wish": "create"},
        400,
        lambda services: services.volumes.create("more", "1XB"),
    ),
    "an unknown unit of a change": (
        "/volumes/vol/resize?size=1PB",
        {},
        400,
        lambda services: services.volumes.resize(parse("vol"), "1PB"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_why_a_form_is_refused(trouble: Trouble, case: str) -> None:
    path, fields, status, work = REFUSED[case]
    error = trouble.refusal(lambda: work(trouble.site.services))
    assert chinese(error.message) in trouble.send(path, status, **fields)


def test_why_a_button_did_nothing(trouble: Trouble) -> None:
    error = trouble.refusal(lambda: trouble.site.services.gpus.schedule("GPU-nope", False))
    assert chinese(error.message) in trouble.send("/gpus/GPU-nope/drain", 200, next="/gpus")
    assert chinese(OF_GPU) in trouble.send(f"/gpus/{trouble.mute.uuid}/return", 200, next="/volumes")


def test_why_a_log_cannot_be_read(trouble: Trouble) -> None:
    trouble.site.engine.fail_next["logs"] = Unavailable("docker", OF_DOCKER)
    assert chinese(OF_DOCKER) in trouble.get("/containers/foo")


@pytest.mark.parametrize("why", [OF_DOCKER, OF_ETCD], ids=["docker", "etcd"])
def test_what_is_down(why: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = Trouble()
    part, target = ("docker", trouble.site.engine) if why is OF_DOCKER else ("etcd", trouble.site.store)

    def down(*_args: object, **_options: object) -> None:
        raise Unavailable(part, why)

    for method in {"get", "list", "inspect", "image"} & set(dir(target)):
        monkeypatch.setattr(target, method, down)
    for path in ("/", "/containers"):
        assert chinese(why) in trouble.get(path), path
    assert chinese(why) in trouble.send("/images", 503, image="new")

"""The table of GPUs, and the buttons that take one out of service and return it, over working fakes."""

import re
from dataclasses import replace

import pytest

from app.errors import Unavailable
from app.model.container import Spec
from app.model.gpu import GpuProcess
from app.model.gpu_health import OutOfService
from app.model.names import parse
from app.ports import Put
from app.state.codec import encode
from tests.pages.conftest import Clock
from tests.pages.test_pages import browser, cells, notices, site, text
from tests.support.site import Browser, Site

__all__ = ["browser", "site"]
PLAIN = Spec(image="busybox:test", cmd=("sh",), gpu_count=1)
SINCE = "2026-01-02T03:04:05.678+00:00"


@pytest.fixture
def uuids(site: Site) -> list[str]:
    return list(site.inventory.uuids())


def rows(html: str) -> dict[str, str]:
    """The rows of the table by their GPU, as plain text."""
    found = re.findall(r'<th scope="row">.*?(GPU \d+)</a>.*?</th>(.*?)</tr>', html, re.DOTALL)
    return {head: text(rest) for head, rest in found}


def notice(browser: Browser) -> str:
    (found,) = re.findall(r'<p class="notice.*?</p>', browser.get("/gpus").text, re.DOTALL)
    return text(found)


def states(html: str) -> list[str]:
    return [text(found) for found in re.findall(r'<span class="state [^"]*">(.*?)</span>', html)]


def record(site: Site, uuid: str, out: OutOfService) -> None:
    site.store.transact({}, [Put(f"/health/{site.services.config.node}/{uuid}", encode(out))])


def test_every_state_has_a_word_of_its_own(site: Site, browser: Browser, uuids: list[str]) -> None:
    site.services.containers.create("foo", PLAIN)
    held = next(view.gpu.index for view in site.services.gpus.all() if view.holder)
    foreign, lost, xid, drained = [index for index in range(8) if index != held][:4]
    site.inventory.changes = {
        foreign: {"processes": (GpuProcess(4242, None, None),)},
        lost: {"fault": "GPU is lost"},
    }
    record(site, uuids[xid], OutOfService(SINCE, xid, fault="XID 95: uncontained memory error", code=95))
    site.services.gpus.schedule(uuids[drained], False)
    expected = ["free"] * 8
    expected[held], expected[foreign], expected[drained] = "in use", "in use by others", "drained"
    expected[lost] = expected[xid] = "unhealthy"
    html = browser.page("/gpus")
    assert states(html) == expected and "3 of 8 free" in html
    assert rows(html)[f"GPU {xid}"].startswith("unhealthy XID 95: uncontained memory error")
    assert rows(html)[f"GPU {drained}"].startswith("drained taken out of service by an operator")
    overview = browser.page("/")
    assert "3 of 8 free" in overview
    assert [cells(overview)[f"GPU {index}"].startswith(word) for index, word in enumerate(expected)] == [True] * 8
    assert cells(overview)[f"GPU {xid}"].endswith("XID 95: uncontained memory error")


def test_what_to_do_and_since_when_are_told(site: Site, browser: Browser, uuids: list[str]) -> None:
    record(site, uuids[1], OutOfService(SINCE, 1, fault="XID 95: uncontained memory error", code=95))
    row = rows(browser.page("/gpus"))["GPU 1"]
    assert "Return to service Out of service since 2026-01-02 03:04:05 UTC. see dmesg;" in row
    assert "nvidia-smi --gpu-reset" in row
    assert "Out of service" not in rows(browser.page("/gpus"))["GPU 2"]


def test_a_gpu_is_taken_out_and_returned(site: Site, browser: Browser, uuids: list[str]) -> None:
    html = browser.page("/gpus")
    assert html.count("Take out of service</button>") == 8 and "Return to service" not in html
    assert 'aria-label="Take out of service GPU 3"' in html
    answer = browser.submit(f"/gpus/{uuids[3]}/drain", "/gpus", next="/gpus")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/gpus")
    assert notice(browser) == "GPU 3 is out of service"
    html = browser.page("/gpus")
    assert html.count("Take out of service</button>") == 7 and html.count("Return to service</button>") == 1
    assert not site.services.gpus.one(uuids[3]).free
    browser.submit(f"/gpus/{uuids[3]}/return", "/gpus", next="/gpus")
    assert notice(browser) == "GPU 3 is in service again"
    assert site.services.gpus.one(uuids[3]).free


def test_whoever_holds_it_is_named_and_keeps_it(site: Site, browser: Browser) -> None:
    site.services.containers.create("foo", PLAIN)
    view = next(view for view in site.services.gpus.all() if view.holder)
    browser.submit(f"/gpus/{view.gpu.uuid}/drain", "/gpus", next="/gpus")
    assert notice(browser).endswith("is out of service; foo keeps it until it is changed")
    assert rows(browser.page("/gpus"))[f"GPU {view.gpu.index}"].startswith("draining")
    assert site.services.gpus.one(view.gpu.uuid).holder == view.holder


def test_a_gpu_that_is_still_faulty_is_not_called_well(site: Site, browser: Browser, uuids: list[str]) -> None:
    record(site, uuids[1], OutOfService(SINCE, 1, fault="GPU is lost"))
    site.inventory.changes = {1: {"fault": "GPU is lost"}}
    browser.submit(f"/gpus/{uuids[1]}/return", "/gpus", next="/gpus")
    assert "not given out while it is so: GPU is lost" in notice(browser)


def test_a_gpu_that_has_gone_is_still_listed(site: Site, browser: Browser) -> None:
    record(site, "GPU-gone", OutOfService(SINCE, 2, fault="the GPU has gone", code=None))
    html = browser.page("/gpus")
    assert html.count("GPU-gone") >= 1 and "8 of 9 free" in html


def test_an_unknown_gpu_is_refused_in_words(browser: Browser) -> None:
    browser.submit("/gpus/GPU-nope/drain", "/gpus", next="/gpus")
    assert "there is no GPU 'GPU-nope'" in notice(browser)


@pytest.mark.parametrize("action", ["drain", "return"])
def test_a_link_or_another_site_changes_nothing(site: Site, browser: Browser, uuids: list[str], action: str) -> None:
    site.services.gpus.schedule(uuids[1], False)
    target = uuids[0] if action == "drain" else uuids[1]
    assert browser.get(f"/gpus/{target}/{action}").status_code == 405
    assert browser.client.post(f"/gpus/{target}/{action}").status_code == 400
    assert [view.schedulable for view in site.services.gpus.all()] == [True, False, *[True] * 6]


def test_a_stranger_may_not(uuids: list[str]) -> None:
    site = Site(replace(Site().services.config, token="a-token-that-nobody-guesses"))
    answer = site.browser().client.post(f"/gpus/{uuids[0]}/drain")
    assert answer.status_code in (302, 400, 401) and site.services.gpus.one(uuids[0]).free


def test_the_overview_has_no_buttons_for_gpus(browser: Browser) -> None:
    assert "Take out of service" not in browser.page("/")


def test_missing_readings_are_dashes_and_never_zero(site: Site, browser: Browser, uuids: list[str]) -> None:
    nothing = {"memory_used": None, "utilisation": None, "temperature": None, "power": None}
    site.inventory.changes = {1: {"fault": "fell off the bus", **nothing}}
    assert rows(browser.page("/gpus"))["GPU 1"].startswith("unhealthy fell off the bus – – – – –")
    assert "Utilisation – Memory – Temperature – Power –" in cells(browser.page("/"))["GPU 1"]
    detail = browser.page(f"/gpus/{uuids[1]}")
    assert "Utilisation – Memory – Temperature – Power – UUID" in text(detail) and "<meter" not in detail


def test_a_gpu_has_a_page_with_its_health_and_its_holders(site: Site, browser: Browser, uuids: list[str]) -> None:
    site.services.containers.create("foo", replace(PLAIN, gpu_count=8))
    site.services.containers.change_gpus(parse("foo"), 1)
    kept = next(view.gpu for view in site.services.gpus.all() if view.holder)
    html = browser.page(f"/gpus/{kept.uuid}")
    assert f"<title>GPU {kept.index} · gpudock</title>" in html and f"<code>{kept.uuid}</code>" in html
    assert 'Held by</dt><dd><a href="/containers/foo">foo-1</a>' in html
    assert re.findall(r'<th scope="row"><a href="/containers/(foo-\d)">', html) == ["foo-1", "foo-0"]
    assert f'action="/gpus/{kept.uuid}/drain"' in html and f'data-url="/gpus/{kept.uuid}/readings"' in html
    site.services.containers.delete(parse("foo"), True, True)
    html = browser.page(f"/gpus/{kept.uuid}")
    assert "foo-0 deleted create" in text(html) and "/containers/foo" not in html
    browser.submit(f"/gpus/{kept.uuid}/drain", f"/gpus/{kept.uuid}", next=f"/gpus/{kept.uuid}")
    html = browser.page(f"/gpus/{kept.uuid}")
    assert "taken out of service by an operator" in html and f'action="/gpus/{kept.uuid}/return"' in html
    assert browser.get("/gpus/GPU-nope").status_code == 404


def test_the_readings_of_a_gpu_are_told_for_its_charts(site: Site, browser: Browser, uuids: list[str]) -> None:
    site.inventory.changes = {0: {"memory_used": 3 << 30, "utilisation": 40, "temperature": 50, "power": None}}
    site.services.gpu.sampler.read()
    told = browser.get(f"/gpus/{uuids[0]}/readings").json
    assert told is not None and told["every"] == 5 and len(told["times"]) == 1
    assert (told["utilisation"], told["memory"], told["temperature"], told["power"]) == ([40], [3072], [50], [None])
    assert browser.get(f"/gpus/{uuids[0]}/readings?since={told['times'][0]}").json["times"] == []
    assert browser.get("/gpus/GPU-nope/readings").json["utilisation"] == [None]


def test_while_nvml_is_down_the_last_known_gpus_are_shown_with_their_age(
    site: Site, browser: Browser, clock: Clock
) -> None:
    site.inventory.error = Unavailable("nvml", "the driver is not loaded")
    assert "Not known at the moment." in browser.page("/gpus")
    site.inventory.error = None
    browser.page("/gpus")
    site.inventory.error = Unavailable("nvml", "the driver is not loaded")
    clock.now += 5
    response = browser.get("/gpus")
    (banner,) = notices(response)
    assert "NVML does not answer. What depends on it is shown as last known, 5.0 s ago" in banner
    assert len(rows(response.text)) == 8


def test_several_nodes_are_told_apart_and_a_silent_one_is_one_concern(site: Site, browser: Browser) -> None:
    far = [
        replace(view, gpu=replace(view.gpu, uuid=f"GPU-far-{view.gpu.index}"), node="far-node")
        for view in site.services.gpus.here()[:2]
    ]
    site.services.gpus.elsewhere = lambda: far
    html = browser.page("/")
    assert re.findall(r"<h3>(\S+) <small>(.*?)</small></h3>", html) == [
        ("far-node", "2 of 2 free"),
        ("test-node", "8 of 8 free"),
    ]
    assert browser.page("/gpus").count(">far-node</td>") == 2
    far[:] = [replace(view, silence="node far-node is unreachable") for view in far]
    html = browser.page("/")
    assert text(html).count("unreachable far-node node far-node is unreachable") == 1 and "8 of 10 free" in html
    assert states(browser.page("/gpus"))[:3] == ["unreachable", "unreachable", "free"]

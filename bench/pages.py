"""How long the server takes for a page of a full host: 500 containers, 200 volumes, 64 GPUs, 1000 past operations."""

import re
import statistics
import time

import requests

from app.adapters.etcd import EtcdStore
from bench.load import FAMILIES, GPUS, NODE, PREFIX, VOLUME_FAMILIES, populate
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import TOKEN, Server

GOAL = 0.3
PAGES = (
    *("/", "/gpus", "/gpus/{gpu}", "/containers", "/containers?name=c49", "/create/container"),
    *("/containers/c0", "/containers/c0/gpus?count=2", "/volumes", "/volumes/vol0", "/create/volume"),
    *("/images", "/images/remove", "/operations", "/operations?kind=create", "/operations/{operation}"),
)


def measure_pages(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """Print for each page the median and the longest time of an answer, and of the part that browsers poll."""
    etcd = EtcdServer()
    etcd.start()
    loaded = Server(dockerd, etcd, {
        "GPUDOCK_GPUS": f"simulated:{GPUS}", "GPUDOCK_GPU_REQUEST": "none", "GPUDOCK_VOLUMES": "none",
        "GPUDOCK_NODE": NODE, "GPUDOCK_PREFIX": PREFIX,
    })  # fmt: skip
    try:
        begun = time.perf_counter()
        operation = populate(dockerd, EtcdStore([etcd.endpoint], PREFIX))
        print(f"500 containers and 200 volumes made in {time.perf_counter() - begun:.0f} s")
        loaded.start()
        _check(loaded)
        names = {"gpu": next(iter(loaded.in_use())), "operation": operation}
        _measure(loaded, _logged_in(loaded), names, rounds)
    finally:
        loaded.stop()
        etcd.stop()
        dockerd.remove_containers()
        if volumes := dockerd.docker("volume", "ls", "-q").split():
            dockerd.docker("volume", "rm", *volumes)


def _check(server: Server) -> None:
    """That the server sees all of it."""
    states = [container["state"] for container in server.data("GET", "/containers?limit=1000")["containers"]]
    volumes = [volume["state"] for volume in server.data("GET", "/volumes?limit=1000")["volumes"]]
    assert (len(states), len(volumes), len(server.in_use())) == (FAMILIES, VOLUME_FAMILIES, GPUS)
    assert set(states) == {"running", "stopped"} and set(volumes) == {"present"}, (set(states), set(volumes))


def _measure(server: Server, browser: requests.Session, names: dict[str, str], rounds: int) -> None:
    for path in PAGES:
        url = server.url + path.format(**names)
        whole = [_seconds(browser, url, {}) for _ in range(4 * rounds)]
        polled = [_seconds(browser, url, {"HX-Request": "true"}) for _ in range(4 * rounds)]
        median, part = statistics.median(whole), statistics.median(polled)
        print(
            f"{path:<34} {median * 1000:6.0f} ms (longest {max(whole) * 1000:4.0f} ms, live part {part * 1000:4.0f} ms)"
            f"  goal 300 ms: {'met' if median <= GOAL else 'MISSED'}",
            flush=True,
        )


def _seconds(browser: requests.Session, url: str, headers: dict[str, str]) -> float:
    begun = time.perf_counter()
    answer = browser.get(url, headers=headers, timeout=60)
    assert answer.status_code == 200, (url, answer.text[:2000])
    return time.perf_counter() - begun


def _logged_in(server: Server) -> requests.Session:
    browser = requests.Session()
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(f"{server.url}/login", timeout=60).text)
    assert found
    browser.post(f"{server.url}/login", data={"csrf_token": found[1], "token": TOKEN}, timeout=60).raise_for_status()
    return browser

"""The readings of GPUs that each worker takes in the background, over real gunicorn workers."""

import re

import requests

from tests.support.server import TOKEN, Server
from tests.support.volumes import wait_for


def test_every_worker_reads_the_gpus_from_its_start_on(api: Server) -> None:
    browser = requests.Session()
    page = browser.get(f"{api.url}/login", timeout=10).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    browser.post(f"{api.url}/login", data={"csrf_token": token[1], "token": TOKEN}, timeout=10)
    uuid = api.data("GET", "/gpus?detail=true")["gpus"][0]["uuid"]

    def times() -> list[int]:
        answer = browser.get(f"{api.url}/gpus/{uuid}/readings", timeout=10)
        assert answer.status_code == 200
        return list(answer.json()["times"])

    wait_for(lambda: len(times()) >= 2)
    # Whichever worker answers: they read at the same moments.
    assert len({tuple(times()[-1:]) for _ in range(8)}) <= 2 and times()[0] % 5 == 0

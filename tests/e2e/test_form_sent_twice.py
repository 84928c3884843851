"""A form that is sent several times at once is carried out once, whichever worker gets it."""

from concurrent.futures import ThreadPoolExecutor

import requests

from tests.pages.test_once import VOLUME, hidden
from tests.support.server import TOKEN, Server


def test_two_presses_reach_two_workers_of_a_real_server(api: Server) -> None:
    session = requests.Session()
    login = session.get(f"{api.url}/login", timeout=20).text
    session.post(f"{api.url}/login", data={**hidden(login), "token": TOKEN}, timeout=20)
    address = f"{api.url}/create/volume"
    fields = {**hidden(session.get(address, timeout=20).text), **VOLUME}

    def send(_number: int) -> tuple[int, str]:
        answer = requests.post(address, fields, cookies=session.cookies.get_dict(), allow_redirects=False, timeout=60)
        return answer.status_code, answer.headers.get("Location", answer.text)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(8))) == {(303, "/volumes/new")}
    assert [view["name"] for view in api.data("GET", "/volumes")["volumes"]] == ["new-0"]

"""What is another node's is sent there, once, and its answer comes back as it is."""

import re
from dataclasses import replace

import pytest

from app.ports import Delete, Message, Put
from app.state.keys import agent_key
from app.web.request_scope import FORWARDED
from tests.support.fake_peers import FakePeers
from tests.support.site import CLOSED, TOKEN, DeadStore, Site
from tests.support.volumes import wait_for
from tests.support.world import spec

ANN = "the-token-of-ann"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
URLS = {"one": "http://one.test", "two": "http://two.test"}


class Pair:
    """Two nodes, each the other's peer; `two` has the container foo-0, which holds a GPU."""

    def __init__(self, two_token: str = TOKEN, tokens: tuple[tuple[str, str], ...] = ()) -> None:
        self.store, self.peers = DeadStore(), FakePeers()
        one = replace(CLOSED, node="one", tokens=tokens)
        two = replace(one, node="two", token=two_token)
        self.one, self.two = (Site(config, self.store, self.peers) for config in (one, two))
        self.begin()

    def begin(self) -> None:
        """Be as at first: to make the applications anew takes a second."""
        self.store.transact({}, [Delete("/", prefix=True)])
        for site in (self.one, self.two):
            site.engine.containers.clear()
            site.engine.volumes.clear()
        self.peers.sent.clear()
        self.peers.apps.update(zip(URLS.values(), (self.one.app, self.two.app), strict=True))
        self.two.services.containers.create("foo", spec(gpu_count=1))
        for site, (node, url) in zip((self.one, self.two), URLS.items(), strict=True):
            site.tell(url)
            assert site.services.config.node == node

    def call(self, method: str, path: str, **options):  # type: ignore[no-untyped-def]
        headers = {**BEARER, **options.pop("headers", {})}
        return self.one.browser().client.open(path, method=method, headers=headers, **options)

    def sent(self) -> list[str]:
        return [f"{message.method} {message.target} to {node}" for node, message in self.peers.sent]

    def last(self) -> tuple[Message, dict[str, str]]:
        message = self.peers.sent[-1][1]
        return message, dict(message.headers)


@pytest.fixture(scope="module")
def both() -> Pair:
    return Pair()


@pytest.fixture
def pair(both: Pair) -> Pair:
    both.begin()
    return both


def test_a_change_is_sent_as_it_is_and_answered_as_it_was(pair: Pair) -> None:
    body = {"gpuCount": 2}
    headers = {"Prefer": "respond-async", "X-Request-Id": "mine", "Via": "1.1 proxy", "Origin": "http://localhost"}
    headers |= {"Connection": "keep-alive, x-hop", "X-Hop": "of this connection only"}
    answer = pair.call("PATCH", "/api/v1/containers/foo-0/gpu?a=%2F%26&b=ä", json=body, headers=headers)
    assert answer.status_code == 202 and answer.headers["Location"].startswith("/api/v1/operations/")
    assert answer.headers.getlist("X-Request-Id") == ["mine"] and answer.headers["Preference-Applied"]
    message, sent = pair.last()
    assert message.target == "/api/v1/containers/foo-0/gpu?a=%2F%26&b=%C3%A4"
    assert message.body == b'{"gpuCount": 2}' and sent["Content-Type"] == "application/json"
    assert (sent["Authorization"], sent["X-Request-Id"], sent[FORWARDED]) == (f"Bearer {TOKEN}", "mine", "two")
    assert not {"Via", "Origin", "Host", "Content-Length", "Connection", "X-Hop"} & sent.keys()
    wait_for(lambda: pair.call("GET", answer.headers["Location"]).json["data"]["state"] == "done")


def test_a_refusal_comes_back_with_its_data(pair: Pair) -> None:
    answer = pair.call("PATCH", "/api/v1/containers/foo/gpu", json={"gpuCount": 9}, headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.json["code"], answer.json["requestId"]) == (409, 1019, "mine")
    assert answer.json["data"]["free"] == 7


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/containers/foo-0/execute", {"cmd": ["echo", "hi"]}),
        ("GET", "/api/v1/containers/foo-0/logs?tail=3", None),
        ("GET", "/api/v1/containers/foo", None),
        ("PATCH", "/api/v1/containers/foo/gpu?dryRun=true", {"gpuCount": 3}),
        ("PATCH", "/api/v1/containers/foo-0/stop", None),
    ],
)
def test_every_call_about_it_is_answered_there(pair: Pair, method: str, path: str, body: object) -> None:
    answer = pair.call(method, path, json=body)
    assert answer.status_code == 200, answer.text
    assert pair.sent() == [f"{method} {path} to two"]


def test_what_is_nobody_s_or_one_s_own_is_answered_here(pair: Pair) -> None:
    pair.one.services.containers.create("bar", spec())
    assert pair.call("GET", "/api/v1/containers/bar-0").status_code == 200
    assert pair.call("GET", "/api/v1/containers/none-0").status_code == 404
    assert pair.call("PATCH", "/api/v1/containers/a-b-c/stop").status_code == 400
    assert pair.call("GET", "/api/v1/containers").status_code == 200
    assert pair.sent() == []


def test_strangers_are_refused_before_anything_is_sent(pair: Pair) -> None:
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong-token-000000"}):
        assert pair.call("PATCH", "/api/v1/containers/foo-0/stop", headers=headers).status_code == 401
    assert pair.sent() == [] and pair.two.engine.containers


def test_what_was_sent_on_is_sent_no_further(pair: Pair) -> None:
    answer = pair.call("PATCH", "/api/v1/containers/foo-0/stop", headers={FORWARDED: "one"})
    assert (answer.status_code, answer.json["code"], answer.json["data"]) == (409, 2024, {"node": "two"})
    assert pair.sent() == []
    # It is made where it was sent, wherever it would fit best.
    body = {"imageName": "busybox:test", "containerName": "bar", "gpuCount": 1}
    assert pair.call("POST", "/api/v1/containers", json=body, headers={FORWARDED: "one"}).status_code == 200
    assert pair.one.services.containers.records.home("bar") == "one" and pair.sent() == []


def test_what_arrives_at_the_wrong_node_is_not_done_there(pair: Pair) -> None:
    pair.peers.apps[URLS["two"]] = pair.one.app
    for path, body in (
        ("containers", {"imageName": "busybox:test", "containerName": "bar", "node": "two"}),
        ("volumes", {"name": "v", "size": "1MB", "node": "two"}),
    ):
        answer = pair.call("POST", f"/api/v1/{path}", json=body)
        assert (answer.status_code, answer.json["code"]) == (503, 2101), answer.text
    assert pair.one.engine.containers == {} == pair.one.volumes.plans


def test_a_loopback_address_of_another_host_is_not_used(pair: Pair) -> None:
    beat = pair.one.store.get(agent_key("two"))
    assert beat is not None
    pair.one.store.transact({}, [Put(beat.key, {**beat.value, "url": "http://127.0.0.1:80", "host": "another"})])
    answer = pair.call("PATCH", "/api/v1/containers/foo-0/stop")
    assert (answer.status_code, answer.json["code"]) == (503, 2101) and "GPUDOCK_NODE_BIND" in answer.json["msg"]
    assert pair.sent() == []


def test_a_node_that_is_gone_or_does_not_answer_is_named_and_reads_go_on(pair: Pair) -> None:
    losses = (
        lambda: pair.peers.apps.pop(URLS["two"]),
        lambda: pair.one.store.transact({}, [Delete(agent_key("two"))]),
    )
    for lose in losses:
        lose()
        for method, path in (("PATCH", "stop"), ("POST", "execute"), ("GET", "logs")):
            answer = pair.call(method, f"/api/v1/containers/foo-0/{path}", json={"cmd": ["echo"]})
            assert (answer.status_code, answer.json["code"]) == (503, 2101) and "two" in answer.json["msg"]
        assert pair.sent().count("GET /api/v1/containers/foo-0/logs to two") <= 1, "to wait for it may take long"
        assert pair.call("GET", "/api/v1/containers/foo").json["data"]["name"] == "foo-0"
    assert pair.call("GET", "/api/v1/containers/foo").json["data"]["state"] == "unreachable"


def test_a_node_with_another_token_is_told_from_a_caller_with_a_wrong_one() -> None:
    pair = Pair(two_token="another-token-0123")
    answer = pair.call("PATCH", "/api/v1/containers/foo-0/stop")
    assert (answer.status_code, answer.json["code"]) == (503, 2104) and "GPUDOCK_TOKEN" in answer.json["msg"]
    page = pair.one.operator().get("/containers/foo-0")
    assert page.status_code == 503 and "GPUDOCK_TOKEN" in page.text


def test_the_other_node_records_who_asked_and_in_which_request() -> None:
    pair = Pair(tokens=(("ann", ANN),))
    headers = {"Authorization": f"Bearer {ANN}", "X-Request-Id": "first"}
    assert pair.call("PATCH", "/api/v1/containers/foo-0/stop", headers=headers).status_code == 200
    ann = pair.one.operator(ANN)
    restarted = ann.submit("/containers/foo-0/restart", "/containers/foo-0/restart")
    assert restarted.status_code == 303, restarted.text
    pair.call("PATCH", "/api/v1/containers/foo/stop", headers={"X-Request-Id": "last"})
    last, second, first, _ = pair.call("GET", "/api/v1/operations").json["data"]["operations"]
    assert {each["node"] for each in (first, second, last)} == {"two"}
    assert [(each["by"], each["who"], each["requestId"]) for each in (first, second, last)] == [
        ("api", "ann", "first"),
        ("page", "ann", restarted.headers["X-Request-Id"]),
        ("api", None, "last"),
    ]


def test_creations_are_sent_where_they_belong(pair: Pair) -> None:
    body = {"imageName": "busybox:test", "containerName": "bar", "gpuCount": 7}
    assert pair.call("POST", "/api/v1/containers", json=body).json["data"]["name"] == "bar-0"
    assert pair.call("POST", "/api/v1/volumes", json={"name": "v", "size": "1MB", "node": "two"}).status_code == 200
    assert [pair.one.services.containers.records.home("bar"), pair.one.services.volumes.records.home("v")] == [
        "two",
        "two",
    ]
    plan = pair.call("POST", "/api/v1/containers?dryRun=true", json={**body, "containerName": "b", "node": "two"})
    assert [blocker["code"] for blocker in plan.json["data"]["blockers"]] == [1019]
    assert len(pair.sent()) == 3
    wrong = pair.call("POST", "/api/v1/volumes", json={"name": "w", "size": "1MB", "node": "three"})
    assert (wrong.status_code, wrong.json["code"]) == (404, 2100)


@pytest.mark.parametrize("path", ["/api/v1/containers/foo/gpu", "/api/v1/containers"])
def test_a_key_is_kept_by_the_node_that_does_the_work(pair: Pair, path: str) -> None:
    body = {"gpuCount": 2, "imageName": "busybox:test", "containerName": "bar", "node": "two"}
    method, body = ("POST", body) if path.endswith("s") else ("PATCH", {"gpuCount": 2})
    key = {"Idempotency-Key": "k"}
    first = pair.call(method, path, json=body, headers=key)
    assert first.status_code == 200 and "Idempotency-Replayed" not in first.headers
    (entry,) = pair.one.store.list("/idempotency/")
    assert (entry.value["node"], entry.value["state"]) == ("two", "done")
    again = pair.call(method, path, json=body, headers=key)
    assert again.json == first.json and again.headers["Idempotency-Replayed"] == "true"
    assert pair.call(method, path, json={**body, "gpuCount": 1}, headers=key).status_code == 422
    assert len(pair.two.services.operations.queries.all(limit=9).operations) == 2


def test_whose_process_has_the_key_is_asked_whether_it_lives(pair: Pair) -> None:
    body = {"imageName": "busybox:test", "containerName": "bar", "node": "two"}
    key = {"Idempotency-Key": "k"}
    assert pair.call("POST", "/api/v1/containers", json=body, headers=key).status_code == 200
    (entry,) = pair.one.store.list("/idempotency/")
    pair.one.store.transact({}, [Put(entry.key, {**entry.value, "state": "running"})])
    answer = pair.call("POST", "/api/v1/containers", json=body, headers=key)
    assert (answer.status_code, answer.json["code"]) == (409, 2071)
    pair.one.store.transact({}, [Put(entry.key, {**entry.value, "state": "running", "owner": "dead"})])
    answer = pair.call("POST", "/api/v1/containers", json=body, headers=key)
    assert (answer.status_code, answer.json["code"]) == (409, 1014)


def test_a_gpu_is_drained_where_it_is(pair: Pair) -> None:
    uuid = next(iter(pair.one.services.gpus.status("two")))
    answer = pair.call("PATCH", f"/api/v1/gpus/{uuid}", json={"schedulable": False})
    assert answer.json["data"]["node"] == "two" and not answer.json["data"]["schedulable"]
    assert pair.call("GET", f"/api/v1/gpus/{uuid}").json["data"]["reason"]


def test_a_form_is_sent_on_with_the_login_and_its_outcome_is_told(pair: Pair) -> None:
    operator = pair.one.operator()
    assert operator.get("/containers/foo-0").status_code == 200
    sent = operator.submit("/containers/foo-0/stop", "/containers/foo-0/stop")
    assert sent.status_code in (302, 303), sent.text
    assert pair.two.engine.inspect("foo-0").state == "exited"  # type: ignore[union-attr]
    assert "foo-0" in operator.page(sent.headers["Location"])
    headers = pair.last()[1]
    assert headers["Cookie"].startswith("gpudock=") and headers[FORWARDED] == "two"
    stranger = pair.one.browser().client.post("/containers/foo-0/stop", data={})
    assert stranger.status_code == 302 and stranger.headers["Location"].startswith("/login")
    # The other node does not know that the browser talks https; its cookies must not travel without.
    over_https = {"base_url": "https://gpu.example", "headers": {"Referer": "https://gpu.example/"}}
    form = {"csrf_token": operator.csrf("/containers/foo-0/restart")}
    cookie = operator.client.get_cookie("gpudock")
    assert cookie is not None
    operator.client.set_cookie("gpudock", cookie.value, domain="gpu.example", secure=True)
    secure = operator.client.post("/containers/foo-0/restart", data=form, **over_https)
    assert secure.status_code in (302, 303) and "Secure" in secure.headers["Set-Cookie"]
    unsigned = operator.client.post("/containers/foo-0/stop", data={})
    assert unsigned.status_code == 400


def test_the_overview_tells_of_low_disks_of_every_node_that_lives(pair: Pair) -> None:
    operator = pair.one.operator()
    assert "/var/lib/docker" not in operator.page("/")
    pair.two.volumes.free = 1 << 20
    pair.two.services.agent.presence.report()
    try:
        (concern,) = re.findall(r"<strong>(/var.*?)</strong>(.*?)</p>", operator.page("/"), re.DOTALL)
        assert [part.strip() for part in concern] == ["/var/lib/docker (two)", "1 MB of 2 TB are free"]
        assert 'href="/images?node=two"' in operator.page("/")
        pair.one.store.transact({}, [Delete(agent_key("two"))])
        assert "/var/lib/docker" not in operator.page("/")
    finally:
        pair.two.volumes.free = 1 << 40


def test_the_form_for_a_container_offers_the_images_of_the_chosen_node(pair: Pair) -> None:
    known = pair.two.engine.images
    known["only-on-two:1"] = replace(known["busybox:test"], id="sha256:" + "2" * 64)
    operator = pair.one.operator()
    here = operator.page("/create/container")
    assert "only-on-two:1" not in here and "on node one." in here
    for shown in (
        operator.page("/create/container?image=x&node=two"),
        operator.submit("/create/container", image="x", node="two", wish="node", env="A=B").text,
    ):
        assert '<option value="only-on-two:1">' in shown and "on node two." in shown
        assert '<option value="two" selected>' in shown and 'name="image" value="x"' in shown
    assert ">A=B</textarea>" in shown
    unknown = operator.submit("/create/container", node="nowhere", wish="node")
    assert unknown.status_code == 404 and 'id="node-error"' in unknown.text
    assert "/create/container?image=only-on-two:1&amp;node=two" in operator.page("/images?node=two")

"""Idempotency keys: who runs, who gets the stored answer, and what happens when etcd or a process goes away."""

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app import errors
from app.ports import Delete, Put
from app.state import idempotency
from app.state.idempotency import MAX_STORED, Idempotency, KeyClaim, StoredAnswer, fingerprint
from tests.support.fake_engine import FakeHost
from tests.support.memory_store import MemoryStore
from tests.support.site import CLOSED, Site

ANSWER = StoredAnswer(202, '{"data": "ü\\n"}', "/api/v1/operations/1")
ASKED = fingerprint("POST", "/x", "", b"{}")


class Keys:
    """The service as one process sees it, and what is behind it."""

    def __init__(self) -> None:
        self.store, self.host = MemoryStore(), FakeHost()
        self.service = Idempotency(self.store, self.host, "test-node")
        self.service.release(self.claim("so that the layout is known"))

    def claim(self, key: str = "k", asked: str = ASKED) -> KeyClaim:
        found = self.service.begin(key, asked)
        assert isinstance(found, KeyClaim)
        return found

    def age(self, key: str, by: timedelta) -> None:
        """Make the record of a key look that old."""
        path = path_of(key)
        entry = self.store.get(path)
        assert entry is not None
        created = (datetime.now(UTC) - by).isoformat(timespec="milliseconds")
        self.store.transact({}, [Put(path, {**entry.value, "created": created})])

    def stored(self) -> list[str]:
        return [entry.key for entry in self.store.list("/idempotency/")]


def path_of(key: str) -> str:
    return "/idempotency/" + hashlib.sha256(key.encode()).hexdigest()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def keys() -> Keys:
    return Keys()


def test_the_same_request_gets_the_stored_answer(keys: Keys) -> None:
    keys.service.keep(keys.claim(), ANSWER)
    assert keys.service.begin("k", ASKED) == keys.service.begin("k", ASKED) == ANSWER
    assert Idempotency(keys.store, FakeHost(), "another-node").begin("k", ASKED) == ANSWER


@pytest.mark.parametrize(
    "other",
    [("PATCH", "/x", "", b"{}"), ("POST", "/y", "", b"{}"), ("POST", "/x", "a=1", b"{}"), ("POST", "/x", "", b"{} ")],
)
def test_another_request_is_refused_whatever_became_of_the_first(keys: Keys, other: Any) -> None:
    claim = keys.claim()
    for change in (lambda: None, keys.host.alive.clear, lambda: keys.service.keep(claim, ANSWER)):
        change()
        with pytest.raises(errors.KeyReused):
            keys.service.begin("k", fingerprint(*other))
    assert keys.service.begin("k", ASKED) == ANSWER
    assert isinstance(keys.service.begin("another key", fingerprint(*other)), KeyClaim)


def test_the_parts_of_a_request_cannot_be_shifted_into_each_other() -> None:
    parts = [("POST", "/a", "b", b"c"), ("POST", "/ab", "", b"c"), ("POST", "/a", "", b"bc"), ("POST/", "a", "b", b"c")]
    assert len({fingerprint(*part) for part in parts}) == len(parts)


def test_a_request_that_still_runs_is_not_run_twice(keys: Keys) -> None:
    keys.claim()
    with pytest.raises(errors.FirstStillRuns):
        keys.service.begin("k", ASKED)


def test_of_many_at_once_one_runs(keys: Keys) -> None:
    barrier = threading.Barrier(16)

    def attempt(_: int) -> str:
        barrier.wait()
        try:
            return type(keys.service.begin("k", ASKED)).__name__
        except errors.FirstStillRuns as exc:
            return type(exc).__name__

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(attempt, range(16))) == [*["FirstStillRuns"] * 15, "KeyClaim"]


def test_who_loses_the_race_for_a_key_learns_what_the_winner_asked(keys: Keys) -> None:
    class Raced(MemoryStore):
        """Lets a rival come first, just before the next write."""

        rival: Callable[[], object] | None = None

        def transact(self, expected: Mapping[str, int], writes: Sequence[Put | Delete]) -> int | None:
            rival, self.rival = self.rival, None
            if rival:
                rival()
            return super().transact(expected, writes)

    keys.store = store = Raced()
    keys.service = Idempotency(store, keys.host, "test-node")
    keys.service.release(keys.claim())
    for key, mine, refusal in (("a", ASKED, errors.FirstStillRuns), ("b", "other", errors.KeyReused)):
        store.rival = lambda key=key: keys.claim(key)  # type: ignore[misc]
        with pytest.raises(refusal):
            keys.service.begin(key, mine)
    store.rival = lambda: keys.service.keep(keys.claim(), ANSWER)
    assert keys.service.begin("k", ASKED) == ANSWER


def test_a_released_key_runs_again_with_any_request(keys: Keys) -> None:
    keys.service.release(keys.claim())
    assert keys.stored() == []
    keys.claim(asked=fingerprint("PATCH", "/y", "", b""))


def test_the_claim_of_a_dead_process_is_void_and_it_cannot_write_any_more(keys: Keys) -> None:
    dead = keys.claim()
    keys.host.alive.clear()
    claim = keys.claim()
    keys.host.alive.add("this-process")
    keys.service.keep(dead, replace(ANSWER, status=200))
    keys.service.release(dead)
    with pytest.raises(errors.FirstStillRuns):
        keys.service.begin("k", ASKED)
    keys.service.keep(claim, ANSWER)
    assert keys.service.begin("k", ASKED) == ANSWER


def test_only_its_own_node_can_tell_whether_a_process_is_dead(keys: Keys) -> None:
    keys.claim()
    keys.host.alive.clear()
    with pytest.raises(errors.OnAnotherNode) as caught:
        Idempotency(keys.store, keys.host, "another-node").begin("k", ASKED)
    assert caught.value.node == "test-node"


@pytest.mark.parametrize("done", [True, False])
def test_a_key_is_new_again_after_24_hours(keys: Keys, done: bool) -> None:
    claim = keys.claim()
    if done:
        keys.service.keep(claim, ANSWER)
    keys.age("k", timedelta(hours=23, minutes=59))
    with pytest.raises(errors.KeyReused):
        keys.service.begin("k", "other")
    keys.age("k", timedelta(hours=24, seconds=1))
    keys.claim(asked="other")


def test_expired_keys_are_forgotten_a_part_at_a_time_and_the_others_stay(keys: Keys) -> None:
    slices: dict[str, list[str]] = {}
    for number in range(20_000):
        slices.setdefault(path_of(str(number))[13:15], []).append(str(number))
    same, elsewhere = next(iter(slices.values()))[:4], list(slices.values())[1][0]
    for key in (*same[:3], elsewhere):
        keys.service.keep(keys.claim(key), ANSWER)
    for key in (*same[:2], elsewhere):
        keys.age(key, timedelta(hours=25))
    keys.claim(same[3])
    assert set(keys.stored()) == {path_of(key) for key in (same[2], same[3], elsewhere)}


def test_more_expired_keys_than_a_transaction_takes_are_forgotten_in_turns(keys: Keys) -> None:
    old = {"schema": 1, "created": "2020-01-01T00:00:00.000+00:00"}
    part = path_of("k")[:15]
    for start in (0, 100, 200):
        keys.store.transact({}, [Put(f"{part}{number}", old) for number in range(start, start + 100)])
    for left in (172, 44, 0):
        keys.service.release(keys.claim())
        assert len(keys.stored()) == left


def test_an_expired_key_is_new_although_its_record_waits_to_be_forgotten(keys: Keys) -> None:
    keys.service.keep(keys.claim(), ANSWER)
    keys.age("k", timedelta(hours=25))
    old = {"schema": 1, "created": "2020-01-01T00:00:00.000+00:00"}
    first = path_of("k")[:15] + "!"  # sorts before every hash
    keys.store.transact({}, [Put(f"{first}{number}", old) for number in range(128)])
    claim = keys.claim(asked="other")
    assert keys.stored() == [path_of("k")]
    keys.service.keep(claim, ANSWER)
    assert keys.service.begin("k", "other") == ANSWER


@pytest.mark.parametrize(("size", "kept"), [(MAX_STORED - 2, True), (MAX_STORED - 1, False), (3 * MAX_STORED, False)])
def test_an_answer_that_is_too_large_is_not_kept_and_the_request_not_repeated(
    keys: Keys, size: int, kept: bool
) -> None:
    keys.service.keep(keys.claim(), StoredAnswer(200, "x" * size))
    if kept:
        assert keys.service.begin("k", ASKED) == StoredAnswer(200, "x" * size)
    else:
        with pytest.raises(errors.AnswerNotKept) as refusal:
            keys.service.begin("k", ASKED)
        assert refusal.value.data == {"status": 200, "location": None}


def test_text_is_measured_as_etcd_gets_it(keys: Keys) -> None:
    keys.service.keep(keys.claim(), StoredAnswer(200, "中" * (MAX_STORED // 3)))
    with pytest.raises(errors.AnswerNotKept):
        keys.service.begin("k", ASKED)


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_without_etcd_nothing_is_claimed(keys: Keys, skip: int) -> None:
    keys.store.fail_next("unavailable", skip)
    with pytest.raises(errors.Unavailable):
        keys.service.begin("k", ASKED)
    assert keys.stored() == []


@pytest.mark.parametrize("fault", ["unknown-applied", "unknown-lost"])
def test_a_claim_that_may_have_happened_is_withdrawn(keys: Keys, fault: Any) -> None:
    keys.store.fail_next(fault)
    with pytest.raises(errors.OutcomeUnknown):
        keys.service.begin("k", ASKED)
    if fault == "unknown-applied":
        keys.store.fail_next("unknown-lost")  # the withdrawal's first attempt
    eventually(lambda: keys.stored() == [])
    keys.claim()


def test_a_withdrawal_leaves_the_claim_of_another_request_alone(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    withdrawals: list[Callable[[], None]] = []
    monkeypatch.setattr(idempotency, "_in_background", lambda action, _reason: withdrawals.append(action))
    keys.store.fail_next("unknown-lost")
    with pytest.raises(errors.OutcomeUnknown):
        keys.service.begin("k", ASKED)
    (withdraw,) = withdrawals
    claim = keys.claim()
    withdraw()
    keys.service.keep(claim, ANSWER)
    assert keys.service.begin("k", ASKED) == ANSWER


@pytest.mark.parametrize("fault", ["unavailable", "unknown-applied", "unknown-lost"])
def test_an_answer_that_cannot_be_stored_is_stored_later(keys: Keys, fault: Any) -> None:
    claim = keys.claim()
    keys.store.fail_next(fault)
    keys.store.fail_next(fault, skip=1)
    keys.service.keep(claim, ANSWER)

    def replayed() -> bool:
        try:
            return keys.service.begin("k", ASKED) == ANSWER
        except (errors.FirstStillRuns, errors.Unavailable):
            return False

    eventually(replayed)


def test_a_key_that_cannot_be_released_is_released_later(keys: Keys) -> None:
    claim = keys.claim()
    keys.store.fail_next("unknown-lost")
    keys.service.release(claim)
    eventually(lambda: keys.stored() == [])


# The header, over the whole application.

BODY = {"imageName": "busybox:test", "containerName": "foo"}


@pytest.fixture
def site() -> Site:
    return Site()


def call(
    site: Site, key: str | None = "k", path: str = "/containers", method: str = "POST", **body: Any
) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return site.browser().client.open(
        f"/api/v1{path}", method=method, json={**BODY, **body} if method == "POST" else body, headers=headers
    )


def code(response: TestResponse) -> int:
    assert response.json is not None
    return int(response.json["code"])


def records(site: Site) -> list[str]:
    return [entry.key for entry in site.store.list("/idempotency/")]


def creates(site: Site) -> int:
    return [name for name, _ in site.engine.calls].count("create")


def test_a_repeated_create_is_answered_alike_and_done_once(site: Site) -> None:
    first, second = call(site), call(site)
    assert (first.status_code, first.data, first.content_type) == (200, second.data, second.content_type)
    assert "Idempotency-Replayed" not in first.headers and second.headers["Idempotency-Replayed"] == "true"
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert creates(site) == 1 and code(call(site, None)) == 1014


def test_where_the_work_goes_on_is_repeated_too(site: Site) -> None:
    started = itertools.count(1)

    def view() -> Any:
        return {"msg": "läuft"}, 202, {"Location": f"/api/v1/operations/{next(started)}"}

    site.app.add_url_rule("/api/v1/later", "later", view, methods=["POST"])
    first, second = call(site, path="/later"), call(site, path="/later")
    assert (first.status_code, first.data) == (second.status_code, second.data)
    assert first.headers["Location"] == second.headers["Location"] == "/api/v1/operations/1"
    assert "Location" not in call(site, "another").headers


def test_another_body_is_422(site: Site) -> None:
    call(site)
    refused = call(site, containerName="bar")
    assert (refused.status_code, code(refused)) == (422, 2070) and creates(site) == 1


@pytest.mark.parametrize(
    ("change", "status"), [({"imageName": "nosuch:image"}, 404), ({"gpuCount": 9}, 409), ({"gpuCount": "x"}, 400)]
)
def test_a_refusal_is_an_answer_too(site: Site, change: dict[str, Any], status: int) -> None:
    first, second = call(site, **change), call(site, **change)
    assert first.status_code == second.status_code == status and first.data == second.data
    assert second.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Unavailable("docker", "Docker does not answer"), 503),
        (errors.StartFailed("no"), 500),
        (errors.OperationRunning("try again"), 409),
        (errors.Fenced("taken over"), 409),
    ],
)
def test_what_may_go_better_next_time_is_not_kept(site: Site, error: errors.DomainError, status: int) -> None:
    site.engine.fail_next["image"] = error
    assert call(site).status_code == status
    assert records(site) == []
    answer = call(site)
    assert answer.status_code == 200 and "Idempotency-Replayed" not in answer.headers


def test_a_defect_gives_the_key_back(site: Site) -> None:
    site.engine.fail_next["image"] = RuntimeError("a defect")  # type: ignore[assignment]
    assert call(site).status_code == 500
    assert records(site) == [] and call(site).status_code == 200


def test_without_etcd_the_answer_is_503_and_nothing_is_done(site: Site) -> None:
    call(site, "another")
    site.store.fail_next("unavailable")
    assert code(call(site, containerName="bar")) == 2040 and creates(site) == 1


def test_a_caller_gets_the_answer_that_etcd_does_not(site: Site) -> None:
    call(site, "another", containerName="bar")
    before = site.store.list("/")
    site.store.fail_next("unknown-lost", skip=1)  # after the claim, of which the 404 needs no further write
    assert call(site, imageName="nosuch:image").status_code == 404
    assert len(site.store.list("/")) == len(before) + 1
    eventually(lambda: "Idempotency-Replayed" in call(site, imageName="nosuch:image").headers)


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\tb"])
def test_a_malformed_key_is_400(site: Site, key: str) -> None:
    refused = call(site, key)
    assert (refused.status_code, code(refused)) == (400, 1002) and creates(site) == 0


@pytest.mark.parametrize("key", ["x", "x" * 255, 'a "b" ~'])
def test_any_printable_key_will_do(site: Site, key: str) -> None:
    assert call(site, key).status_code == call(site, key).status_code == 200


@pytest.mark.parametrize("value", ["true", "TRUE", "1"])
def test_a_dry_run_uses_no_key(site: Site, value: str) -> None:
    for key in ("", "k", "k"):
        preview = call(site, key, f"/containers?dryRun={value}")
        assert preview.status_code == 200 and "Idempotency-Replayed" not in preview.headers
    assert records(site) == [] and creates(site) == 0
    assert call(site).status_code == 200 and creates(site) == 1


@pytest.mark.parametrize("value", ["false", "0"])
def test_what_is_no_dry_run_uses_the_key(site: Site, value: str) -> None:
    first, second = (call(site, path=f"/containers?dryRun={value}") for _ in range(2))
    assert first.data == second.data and "Idempotency-Replayed" in second.headers


def test_reads_and_deletions_use_no_key(site: Site) -> None:
    for method, status in (("GET", 200), ("DELETE", 200), ("DELETE", 404), ("GET", 404)):
        if (method, status) == ("GET", 200):
            call(site, None)
        body = {"force": True, "delEtcdInfoAndVersionRecord": True} if method == "DELETE" else {}
        assert call(site, "ü", "/containers/foo", method, **body).status_code == status
    assert records(site) == []


def test_a_stranger_claims_nothing() -> None:
    closed = Site(CLOSED)
    assert call(closed).status_code == 401 and records(closed) == []


def test_every_post_and_patch_documents_the_header_and_its_refusals(site: Site) -> None:
    document = site.browser().get("/api/openapi.json").json
    assert document is not None
    calls = {(m, p): c for p, methods in document["paths"].items() for m, c in methods.items() if m != "parameters"}
    having = {at for at, c in calls.items() if "Idempotency-Key" in [p.get("name") for p in c.get("parameters", ())]}
    assert having == {(method, path) for method, path in calls if method in ("post", "patch")} and having
    for at in having:
        answers = calls[at]["responses"]
        assert "2070" in answers["422"]["description"] and "2071" in answers["409"]["description"]
        assert answers["422"]["content"] == answers["409"]["content"] == answers["400"]["content"]
    create = calls["post", "/api/v1/containers"]["responses"]
    assert "1009" in create["422"]["description"] and "1014" in create["409"]["description"]
    assert "| 2072 |" in document["info"]["description"]

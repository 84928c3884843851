"""What every store does, in memory or in etcd."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyetcd import etcdrpc

from app.adapters.etcd import EtcdStore, connect
from app.errors import InvalidRequest, OutcomeUnknown, Unavailable
from app.ports import Delete, Entry, Put, Store
from app.state.unreadable import unreadable
from tests.support.etcd import EtcdServer
from tests.support.memory_store import MemoryStore


@pytest.fixture(params=["memory", "etcd"])
def any_store(request: pytest.FixtureRequest) -> Store:
    return MemoryStore() if request.param == "memory" else request.getfixturevalue("store")


def put(store: Store, *keys: str) -> int:
    revision = store.transact({}, [Put(key, {"at": key}) for key in keys])
    assert revision is not None
    return revision


def keys(store: Store, *prefixes: str) -> list[str]:
    return [entry.key for entry in store.list(*prefixes)]


def test_what_was_never_written_is_absent(any_store):
    assert any_store.get("/containers/foo") is None
    assert any_store.list("/") == []
    assert any_store.list() == []


def test_a_value_comes_back_with_the_revision_that_its_transaction_returned(any_store):
    revision = any_store.transact({}, [Put("/containers/foo", {"current": 1})])
    entry = any_store.get("/containers/foo")
    assert (entry.key, entry.value, entry.revision) == ("/containers/foo", {"current": 1}, revision)


@pytest.mark.parametrize(
    "value",
    [
        {"name": "训练-容器 ✓ é 🐳", "quote": "\"'\\\n\t\x00"},
        {"a half of a surrogate pair": "\ud83d"},
        {"deep": {"list": [1, 2.5, None, True, {"x": []}]}, "big": 2**60, "": ""},
        {},
    ],
)
def test_values_round_trip(any_store, value):
    any_store.transact({}, [Put("/value", value)])
    assert any_store.get("/value").value == value


def test_a_value_that_the_caller_changes_later_stays_as_it_was_written(any_store):
    value = {"gpus": ["a"]}
    any_store.transact({}, [Put("/value", value)])
    value["gpus"].append("b")
    any_store.get("/value").value["gpus"].append("c")
    assert any_store.get("/value").value == {"gpus": ["a"]}


def test_all_writes_of_a_transaction_have_one_revision(any_store):
    revision = put(any_store, "/a", "/b/c", "/d")
    assert {entry.revision for entry in any_store.list("/")} == {revision}


def test_revisions_grow_with_every_change(any_store):
    first, second = put(any_store, "/a"), put(any_store, "/b")
    third = any_store.transact({}, [Delete("/a")])
    assert first < second < third
    assert any_store.get("/b").revision == second


def test_revision_zero_expects_absence(any_store):
    assert any_store.transact({"/gpu": 0}, [Put("/gpu", {"owner": "a"})])
    assert any_store.transact({"/gpu": 0}, [Put("/gpu", {"owner": "b"})]) is None
    assert any_store.get("/gpu").value == {"owner": "a"}


def test_a_deleted_key_counts_as_absent(any_store):
    put(any_store, "/gpu")
    any_store.transact({}, [Delete("/gpu")])
    assert any_store.get("/gpu") is None
    assert any_store.transact({"/gpu": 0}, [Put("/gpu", {})])


def test_a_stale_revision_writes_nothing(any_store):
    old = put(any_store, "/a")
    new = put(any_store, "/a")
    assert any_store.transact({"/a": old}, [Put("/a", {"x": 1}), Put("/b", {}), Delete("/a/", prefix=True)]) is None
    assert any_store.get("/a").revision == new
    assert keys(any_store, "/") == ["/a"]
    assert any_store.transact({"/a": new}, [Put("/a", {"x": 1})])


def test_one_failed_expectation_among_several_writes_nothing(any_store):
    revision = put(any_store, "/a")
    assert any_store.transact({"/a": revision, "/b": 0, "/c": 7}, [Delete("/a"), Put("/b", {})]) is None
    assert keys(any_store, "/") == ["/a"]


def test_an_expectation_need_not_be_written(any_store):
    revision = put(any_store, "/operation")
    assert any_store.transact({"/operation": revision}, [Put("/a", {})])
    assert any_store.get("/operation").revision == revision


def test_deleting_what_is_not_there_is_no_failure(any_store):
    assert any_store.transact({}, [Delete("/nothing"), Delete("/none/", prefix=True)])


def test_a_prefix_is_deleted_together_with_other_writes(any_store):
    put(any_store, "/a/1", "/a/2/x", "/a", "/ab", "/b")
    any_store.transact({}, [Delete("/a/", prefix=True), Put("/c", {}), Delete("/b")])
    assert keys(any_store, "/") == ["/a", "/ab", "/c"]


def test_a_prefix_with_a_slash_does_not_reach_its_namesakes(any_store):
    put(any_store, "/a/1", "/ab/1", "/a", "/a0", "/a.b/1")
    assert keys(any_store, "/a/") == ["/a/1"]


def test_several_prefixes_are_listed_sorted_by_key_and_each_entry_once(any_store):
    put(any_store, "/gpus/n/2", "/containers/b", "/ports/n/1", "/gpus/n/1", "/containers/a", "/volumes/v")
    expected = ["/containers/a", "/containers/b", "/gpus/n/1", "/gpus/n/2"]
    assert keys(any_store, "/gpus/", "/containers/", "/gpus/n/") == expected


def test_a_listing_shows_one_revision_while_others_write(any_store):
    """Two keys that always change together are never seen apart, though asked for by two prefixes."""
    stop = threading.Event()

    def write():
        count = 0
        while not stop.is_set():
            count += 1
            any_store.transact({}, [Put("/left/x", {"n": count}), Put("/right/x", {"n": count})])

    put(any_store, "/left/x", "/right/x")
    with ThreadPoolExecutor() as pool:
        writer = pool.submit(write)
        try:
            pairs = list(_listings_of_changes(any_store, 50))
        finally:
            stop.set()
        writer.result()
    assert all(left.revision == right.revision for left, right in pairs)


def _listings_of_changes(store: Store, changes: int) -> Iterator[list[Entry]]:
    """Listings of both sides, until so many revisions were seen."""
    seen: set[int] = set()
    while len(seen) < changes:
        yield (listing := store.list("/left/", "/right/"))
        seen.add(listing[0].revision)


def test_of_many_that_claim_one_key_exactly_one_wins(any_store):
    def claim(round_: int) -> Callable[[int], bool]:
        def by(owner: int) -> bool:
            barrier.wait()
            return any_store.transact({f"/gpu/{round_}": 0}, [Put(f"/gpu/{round_}", {"owner": owner})]) is not None

        return by

    barrier = threading.Barrier(16)
    with ThreadPoolExecutor(16) as pool:
        for round_ in range(10):
            won = list(pool.map(claim(round_), range(16)))
            assert sum(won) == 1
            assert any_store.get(f"/gpu/{round_}").value == {"owner": won.index(True)}


def test_counting_up_with_expectations_loses_nothing(any_store):
    def count_up(_: int) -> None:
        for _ in range(10):
            while True:
                entry = any_store.get("/counter")
                if any_store.transact({"/counter": entry.revision}, [Put("/counter", {"n": entry.value["n"] + 1})]):
                    break

    any_store.transact({}, [Put("/counter", {"n": 0})])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(4)))
    assert any_store.get("/counter").value == {"n": 40}


@pytest.mark.parametrize(
    "writes",
    [
        [Put("/a/1", {}), Put("/a/1", {})],
        [Put("/a/1", {}), Delete("/a/1")],
        [Delete("/a/", prefix=True), Put("/a/1", {})],
    ],
)
def test_a_transaction_that_contradicts_itself_is_a_programming_error(any_store, writes):
    with pytest.raises(ValueError, match="may put a key once"):
        any_store.transact({}, writes)
    assert any_store.list("/") == []


def test_128_writes_fit_into_a_transaction_and_129_do_not(any_store):
    put(any_store, *(f"/a/{n}" for n in range(128)))
    assert len(any_store.list("/a/")) == 128
    with pytest.raises(InvalidRequest, match="too much at once"):
        put(any_store, *(f"/b/{n}" for n in range(129)))
    assert any_store.list("/b/") == []


@pytest.mark.parametrize("key", ["", "containers/foo"])
def test_a_key_that_could_leave_the_prefix_is_a_programming_error(any_store, key):
    with pytest.raises(ValueError, match="must begin with /"):
        any_store.get(key)
    with pytest.raises(ValueError, match="must begin with /"):
        any_store.list(key)
    with pytest.raises(ValueError, match="must begin with /"):
        any_store.transact({key: 0}, [])
    with pytest.raises(ValueError, match="must begin with /"):
        any_store.transact({}, [Delete(key, prefix=True)])


def test_what_is_kept_has_its_value_until_that_is_changed_and_comes_back(any_store):
    any_store.put_leased("/nodes/a/agent", {"url": "x"}, 5)
    before = any_store.get("/nodes/a/agent")
    any_store.put_leased("/nodes/a/agent", {"url": "x"}, 5)
    assert any_store.get("/nodes/a/agent") == before and before.value == {"url": "x"}
    any_store.put_leased("/nodes/a/agent", {"url": "y"}, 5)
    assert any_store.get("/nodes/a/agent").value == {"url": "y"}
    any_store.transact({}, [Delete("/nodes/a/agent")])
    any_store.put_leased("/nodes/a/agent", {"url": "y"}, 5)
    assert any_store.get("/nodes/a/agent").value == {"url": "y"}


def test_ping_tells_a_version(any_store):
    assert any_store.ping()


def test_a_planned_fault_strikes_once_and_in_its_turn():
    store = MemoryStore()
    store.fail_next("unavailable", skip=1)
    store.get("/a")
    with pytest.raises(Unavailable) as caught:
        store.list("/a")
    assert not isinstance(caught.value, OutcomeUnknown)
    put(store, "/a")


@pytest.mark.parametrize(("kind", "left"), [("unknown-applied", ["/a"]), ("unknown-lost", [])])
def test_a_planned_unknown_outcome_strikes_writes_only(kind, left):
    store = MemoryStore()
    store.fail_next(kind)
    assert store.list("/") == []
    with pytest.raises(OutcomeUnknown):
        put(store, "/a")
    assert keys(store, "/") == left


def test_a_key_that_is_no_text_is_listed_and_can_be_told(store: EtcdStore, etcd_server: EtcdServer) -> None:
    put(store, "/containers/foo")
    etcd = connect(*etcd_server.endpoint)
    begins = store._absolute("/containers/")
    etcdrpc.KVStub(etcd).Put(etcdrpc.PutRequest(key=begins + b"\xff\xfe", value=b"{}"), timeout=10)
    etcd.close()
    assert keys(store, "/containers/") == ["/containers/foo", "/containers/" + 2 * "\N{REPLACEMENT CHARACTER}"]
    told = [found.key for found in unreadable(store.list("/containers/"))]
    assert told[-1] == "/containers/" + 2 * "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("levels", [70, 500, 5000, 100_000])
def test_what_nests_too_deep_is_no_object(store: EtcdStore, etcd_server: EtcdServer, levels: int) -> None:
    etcd = connect(*etcd_server.endpoint)
    text = '{"a":' + "[" * levels + "]" * levels + "}"
    etcdrpc.KVStub(etcd).Put(etcdrpc.PutRequest(key=store._absolute("/deep"), value=text.encode()), timeout=10)
    etcd.close()
    entry = store.get("/deep")
    assert entry and (entry.value, entry.text) == ({}, text)

"""The store while etcd is killed, frozen, restarted, full, or refuses: what is told, how soon, and is it true."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from pyetcd import etcdrpc

from app.adapters.etcd import EtcdStore
from app.errors import InvalidRequest, OutcomeUnknown, Unavailable
from app.ports import Delete, Put
from tests.support.etcd import EtcdServer, etcd_cluster


@pytest.fixture
def server() -> Iterator[EtcdServer]:
    server = EtcdServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def cluster() -> Iterator[list[EtcdServer]]:
    with etcd_cluster(3) as servers:
        yield servers


@pytest.fixture
def connect() -> Iterator[Callable[..., EtcdStore]]:
    """Makes stores on the servers given, and closes them in the end."""
    stores = []

    def to(*servers: EtcdServer) -> EtcdStore:
        stores.append(EtcdStore([server.endpoint for server in servers], "/test"))
        return stores[-1]

    yield to
    for store in stores:
        store.close()


def failure_of(call: Callable[[], object], within: float) -> Unavailable:
    """The Unavailable that `call` raises, which must not take longer than `within` seconds."""
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        call()
    assert time.monotonic() - started < within
    assert caught.value.part == "etcd"
    return caught.value


def seconds_until_it_works(call: Callable[[], object]) -> float:
    started = time.monotonic()
    while True:
        try:
            call()
        except Unavailable:
            assert time.monotonic() - started < 30
            time.sleep(0.05)
        else:
            return time.monotonic() - started


def write(store: EtcdStore, key: str = "/a") -> int | None:
    return store.transact({}, [Put(key, {"x": 1})])


def test_a_killed_etcd_is_told_at_once_and_its_writes_certainly_did_not_happen(server, connect):
    store = connect(server)
    write(store)
    server.kill()
    for call in (lambda: store.get("/a"), lambda: store.list("/"), store.ping):
        told = failure_of(call, within=1)
        assert told.message == (
            f"etcd does not answer at 127.0.0.1:{server.endpoint[1]}; check that it runs and that GPUDOCK_ETCD names it"
        )
    assert type(failure_of(lambda: write(store), within=1)) is Unavailable


def test_a_frozen_etcd_is_told_in_time_and_the_outcome_of_its_writes_is_unknown(server, connect):
    store = connect(server)
    write(store)
    server.freeze()
    assert type(failure_of(lambda: store.get("/a"), within=4)) is Unavailable
    failure_of(lambda: store.list("/"), within=4)
    failure_of(store.ping, within=3)
    assert isinstance(failure_of(lambda: write(store, "/b"), within=3), OutcomeUnknown)
    server.thaw()
    assert seconds_until_it_works(lambda: store.get("/a")) < 3
    assert seconds_until_it_works(lambda: write(store, "/b")) < 3


def test_a_store_made_while_etcd_is_frozen_works_once_it_thaws(server, connect):
    server.freeze()
    store = connect(server)
    failure_of(lambda: store.get("/a"), within=4)
    server.thaw()
    assert seconds_until_it_works(lambda: store.get("/a")) < 3


@pytest.mark.parametrize("down", [0, 6])
def test_a_restarted_etcd_is_used_again_within_three_seconds(server, connect, down):
    store = connect(server)
    revision = write(store)
    server.kill()
    until = time.monotonic() + down
    while time.monotonic() < until:
        failure_of(lambda: store.get("/a"), within=1)
        time.sleep(0.2)
    server.restart()
    assert seconds_until_it_works(lambda: write(store, "/b")) < 3
    assert store.get("/a").revision == revision


def test_what_is_told_of_a_write_is_true_when_etcd_is_killed_in_the_middle(server, connect):
    """Told done: it is there. Told certainly not done: it is not. Some writes are cut off with unknown outcome."""
    store, outcomes, stop = connect(server), {}, threading.Event()

    def write_on(thread: int) -> None:
        for number in range(100_000):
            key = f"/{thread}/{number}"
            try:
                outcomes[key] = write(store, key)
            except Unavailable as exc:
                outcomes[key] = type(exc)
                time.sleep(0.02)
            if stop.is_set():
                return

    with ThreadPoolExecutor(8) as pool:
        writers = [pool.submit(write_on, thread) for thread in range(8)]
        for _ in range(3):
            time.sleep(0.5)
            server.restart()
            seconds_until_it_works(lambda: store.get("/x"))
        stop.set()
        for writer in writers:
            writer.result()
    there = {entry.key: entry.revision for entry in store.list("/")}
    done = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, int)}
    certainly_not = {key for key, outcome in outcomes.items() if outcome is Unavailable}
    unknown = {key for key, outcome in outcomes.items() if outcome is OutcomeUnknown}
    assert done
    assert certainly_not
    assert unknown
    assert {key: there.get(key) for key in done} == done
    assert not certainly_not & there.keys()


@pytest.mark.parametrize("harm", [EtcdServer.kill, EtcdServer.freeze])
def test_any_one_member_of_three_may_fail(cluster, connect, harm):
    store = connect(*cluster)
    write(store)
    for server in cluster:
        harm(server)
        # The cluster may have to elect a leader first, and a write that meets the frozen member is not repeated.
        assert seconds_until_it_works(lambda: store.get("/a")) < 8
        assert seconds_until_it_works(lambda: write(store)) < 8
        started = time.monotonic()
        for _ in range(20):
            write(store)
            store.get("/a")
            store.ping()
        assert time.monotonic() - started < 2, "a failed member is not asked again and again"
        server.thaw() if harm is EtcdServer.freeze else server.restart()
        server.wait_healthy()


def test_a_write_goes_to_the_next_member_if_the_first_cannot_be_reached(server, connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        store = EtcdStore([unused.getsockname(), server.endpoint], "/test")
        assert write(store)
        store.close()


def test_without_most_of_its_members_etcd_counts_as_down(cluster, connect):
    store = connect(cluster[0])
    write(store)
    cluster[1].kill()
    cluster[2].kill()
    failure_of(lambda: store.get("/a"), within=4)
    failure_of(lambda: write(store), within=3)
    deadline = time.monotonic() + 10
    told = ""
    while "no leader" not in told and time.monotonic() < deadline:
        try:
            store.ping()
        except Unavailable as exc:
            told = exc.message
    assert "no leader" in told


def test_a_full_etcd_says_so_and_still_reads_and_deletes(connect):
    server = EtcdServer("--quota-backend-bytes", str(4 << 20))
    try:
        server.start()
        store = connect(server)
        write(store)
        with pytest.raises(OutcomeUnknown, match="out of space: compact and defragment") as caught:
            for number in range(100):
                store.transact({}, [Put(f"/fill/{number}", {"x": "x" * 500_000})])
        assert caught.value.part == "etcd"
        assert store.get("/a")
        assert store.transact({}, [Delete("/a")])
    finally:
        server.stop()


@pytest.mark.parametrize("size", [1_600_000, 4_000_000])
def test_a_value_that_etcd_does_not_take_is_refused_as_too_large(store, size):
    with pytest.raises(InvalidRequest, match=r"1\.5 MiB"):
        store.transact({}, [Put("/large", {"x": "x" * size})])
    assert store.get("/large") is None


def test_a_listing_may_be_larger_than_one_grpc_message_usually_is(store):
    for number in range(6):
        store.transact({}, [Put(f"/large/{number}", {"x": "x" * 1_000_000})])
    assert sum(len(entry.value["x"]) for entry in store.list("/large/")) == 6_000_000
    store.transact({}, [Delete("/large/", prefix=True)])


def test_two_prefixes_of_which_one_begins_the_other_do_not_mix(etcd_server):
    base = f"/test-{uuid.uuid4().hex}"
    one, other = EtcdStore([etcd_server.endpoint], base), EtcdStore([etcd_server.endpoint], base + "2")
    write(one)
    write(other)
    assert [entry.key for entry in one.list("/")] == ["/a"]
    one.transact({}, [Delete("/", prefix=True)])
    assert other.get("/a")
    one.close()
    other.close()


@pytest.mark.parametrize("value", [b"{oops", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_a_value_that_is_not_ours_comes_as_its_text_and_hides_no_other(etcd_server, store, value):
    write(store)
    raw = _raw_key(etcd_server, store)
    store.transact({}, [Put("/b", {"at": "b"})])
    with grpc.insecure_channel("{}:{}".format(*etcd_server.endpoint)) as channel:
        etcdrpc.KVStub(channel).Put(etcdrpc.PutRequest(key=raw, value=value), 2)
    assert [(entry.key, entry.value, entry.text) for entry in store.list("/")] == [
        ("/a", {}, value.decode(errors="replace")),
        ("/b", {"at": "b"}, None),
    ]


def _raw_key(server: EtcdServer, store: EtcdStore) -> bytes:
    """Where etcd itself has "/a" of the store."""
    revision = store.get("/a").revision
    with grpc.insecure_channel("{}:{}".format(*server.endpoint)) as channel:
        everything = etcdrpc.RangeRequest(key=b"\0", range_end=b"\0", keys_only=True)
        [key] = [kv.key for kv in etcdrpc.KVStub(channel).Range(everything, 2).kvs if kv.mod_revision == revision]
    return bytes(key)


def test_an_etcd_that_wants_a_login_is_told_as_such(server, connect):
    store = connect(server)
    write(store)
    with grpc.insecure_channel("{}:{}".format(*server.endpoint)) as channel:
        auth = etcdrpc.AuthStub(channel)
        auth.UserAdd(etcdrpc.AuthUserAddRequest(name="root", password="secret"), 2)
        auth.UserGrantRole(etcdrpc.AuthUserGrantRoleRequest(user="root", role="root"), 2)
        auth.AuthEnable(etcdrpc.AuthEnableRequest(), 2)
    for call in (lambda: store.get("/a"), lambda: write(store)):
        told = failure_of(call, within=1)
        assert type(told) is Unavailable
        assert "authentication" in told.message


def test_a_forked_process_works_with_the_store_of_its_parent(store):
    write(store)
    statuses = [_status_of_child(lambda n=n: _use_in_child(store, f"/child/{n}")) for n in range(3)]
    assert statuses == [0, 0, 0]
    assert [entry.key for entry in store.list("/child/")] == ["/child/0", "/child/1", "/child/2"]
    assert write(store)


def _use_in_child(store: EtcdStore, key: str) -> None:
    for _ in range(3):
        assert write(store, key)
    assert store.get(key)
    store.close()


def _status_of_child(call: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        # Exit without the parent's cleanup, and fail loudly instead of hanging.
        threading.Timer(10, lambda: os._exit(3)).start()
        try:
            call()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_is_kept_goes_when_nobody_keeps_it_any_more_and_comes_back(
    server: EtcdServer, connect: Callable[..., EtcdStore]
) -> None:
    store = connect(server)

    def wait_until_gone() -> None:
        deadline = time.monotonic() + 15
        while store.get("/nodes/a/agent") is not None:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    store.put_leased("/nodes/a/agent", {"url": "x"}, 1)
    lasting = time.monotonic() + 4
    while time.monotonic() < lasting:
        store.put_leased("/nodes/a/agent", {"url": "x"}, 1)
        assert store.get("/nodes/a/agent") is not None
        time.sleep(0.2)
    wait_until_gone()
    store.put_leased("/nodes/a/agent", {"url": "x"}, 1)
    assert store.get("/nodes/a/agent") is not None
    server.kill()
    with pytest.raises(Unavailable):
        store.put_leased("/nodes/a/agent", {"url": "x"}, 1)

"""The host adapter on this very machine: ports, directories, processes."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.adapters import host as adapter
from app.adapters.host import LocalHost

HOST = LocalHost()


def listener(family: int, address: str, *, v6only: bool = True) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    server.bind((address, 0))
    server.listen()
    return server


@pytest.mark.parametrize(
    ("family", "address", "v6only"),
    [
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET, "127.0.0.1", True),
        (socket.AF_INET6, "::", True),
        (socket.AF_INET6, "::", False),
        (socket.AF_INET6, "::1", True),
    ],
)
def test_a_port_is_taken_while_somebody_listens_at_any_address_and_free_afterwards(family, address, v6only):
    with closing(listener(family, address, v6only=v6only)) as server:
        port = server.getsockname()[1]
        assert not HOST.port_free(port)
    assert HOST.port_free(port)


def test_a_connection_in_time_wait_does_not_take_the_port():
    with closing(listener(socket.AF_INET, "127.0.0.1")) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            # The side that closes first is the one that waits.
            accepted.close()
            assert client.recv(1) == b""
    assert f":{port:04X}" in _local_ports("06")
    assert HOST.port_free(port)


def test_asking_does_not_take_the_port():
    with closing(listener(socket.AF_INET, "127.0.0.1")) as server:
        port = server.getsockname()[1]
    assert HOST.port_free(port)
    with socket.socket() as taker:
        taker.bind(("0.0.0.0", port))
        taker.listen()
        assert not HOST.port_free(port)


def test_a_directory_is_resolved_through_every_symlink(tmp_path):
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real/up").symlink_to("..")
    assert HOST.real_directory(f"{tmp_path}/link/up/link/deep") == f"{tmp_path}/real/deep"
    assert HOST.real_directory(f"{tmp_path}/link/../link/./deep/") == f"{tmp_path}/real/deep"


def test_what_does_not_exist_stays_below_what_is_resolved(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert HOST.real_directory(f"{tmp_path}/link/new/dir") == f"{tmp_path}/real/new/dir"


def test_a_circle_of_symlinks_ends(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert HOST.real_directory(f"{tmp_path}/a").startswith(f"{tmp_path}/")


def test_this_process_is_alive_and_its_token_stays_the_same():
    assert HOST.own_token() == LocalHost().own_token()
    assert HOST.process_alive(HOST.own_token())


def test_another_process_is_alive_until_it_has_ended():
    code = "from app.adapters.host import LocalHost; print(LocalHost().own_token(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        token = child.stdout.readline().strip()
        assert token != HOST.own_token()
        assert HOST.process_alive(token)
        child.communicate("\n")
    assert not HOST.process_alive(token)


def test_a_zombie_is_not_alive():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    state, *_, start = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[:20]
    assert state == "Z"
    boot, _, _ = HOST.own_token().split("/")
    assert not HOST.process_alive(f"{boot}/{child}/{start}")
    os.waitpid(child, 0)


@pytest.mark.parametrize("field", [0, 1, 2])
def test_another_boot_pid_or_start_time_is_another_process(field):
    parts = HOST.own_token().split("/")
    parts[field] = "1" if field == 1 else parts[field][:-1] + ("0" if parts[field][-1] != "0" else "1")
    assert not HOST.process_alive("/".join(parts))


@pytest.mark.parametrize("token", ["", "/", "a/b", "a/b/c/d", "//", "x/-1/3"])
def test_what_is_no_token_describes_no_living_process(token):
    assert not HOST.process_alive(token)


@pytest.mark.parametrize("pid", ["", "self", "0", "999999999"])
def test_a_pid_that_cannot_be_is_not_alive(pid):
    boot, _, start = HOST.own_token().split("/")
    for started in (start, "None", ""):
        assert not HOST.process_alive(f"{boot}/{pid}/{started}")


def test_a_command_with_spaces_and_parentheses_does_not_shift_the_fields(tmp_path, monkeypatch):
    stat = f"5 (a) R 1 (b c)) S {' '.join(str(n) for n in range(4, 53))}\n"
    (tmp_path / "5").mkdir()
    (tmp_path / "5/stat").write_text(stat)
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot\n")
    monkeypatch.setattr(adapter, "_PROC", tmp_path)
    assert HOST.process_alive("boot/5/22")
    assert not HOST.process_alive("boot/5/21")


def _local_ports(state: str) -> str:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return " ".join(row[1] for row in rows if row[3] == state)

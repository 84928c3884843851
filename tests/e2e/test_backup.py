"""Backup, restore and an etcd that is older than Docker, with a real Docker, a real etcd and running servers."""

import json
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.adapters.etcd import EtcdStore
from app.ports import Delete, Put
from tests.e2e.test_volumes import wait_for
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer
from tests.support.server import PREFIX, ROOT, Server

# Its stop takes nearly as long as Docker waits for one: a command of gpudock ends in that time, also on a busy machine.
SLOW = 'trap "sleep 9; exit" TERM; while :; do sleep 0.1; done'
Command = list[str]


@pytest.fixture
def etcd(etcd_server: EtcdServer) -> Iterator[EtcdStore]:
    store = EtcdStore([etcd_server.endpoint], PREFIX)
    yield store
    store.close()


def flask(api: Server, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=api._environment, stdout=pipe, stderr=pipe, text=True)


def run(api: Server, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    process = flask(api, *arguments)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def ran(api: Server, *arguments: str) -> str:
    """What a command that must succeed prints."""
    code, out, err = run(api, *arguments)
    assert code == 0, err
    return out + err


def failed(api: Server, *arguments: str) -> str:
    """What a command that must fail says."""
    code, _, err = run(api, *arguments)
    assert code == 1, err
    assert "Traceback" not in err
    return err


def contents(etcd: EtcdStore) -> dict[str, Any]:
    return {entry.key: entry.value for entry in etcd.list("/") if not entry.key.startswith("/nodes/")}


def refused(api: Server, code: int, *words: str) -> None:
    """Whatever changes something is refused, whatever reads is not."""
    for method, path, body in (
        ("POST", "/containers", {"imageName": "busybox:test", "containerName": "other"}),
        ("POST", "/volumes", {"name": "other", "size": "1GB"}),
    ):
        answer = api.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (503, code), answer.text
        assert answer.json()["data"] == {"part": "etcd"}
        for word in words:
            assert word in answer.json()["msg"]
    assert api.call("GET", "/containers").status_code == 200
    assert api.call("GET", "/readyz").status_code == 200


def state_finding(api: Server) -> dict[str, str]:
    _, out, _ = run(api, "doctor", "--json")
    found: dict[str, str] = next(f for f in json.loads(out)["findings"] if f["part"] == "state")
    return found


def test_a_lost_etcd_is_noticed_and_a_backup_brings_everything_back(
    api: Server, dockerd: Dockerd, etcd: EtcdStore, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    api.create("foo", gpuCount=2)
    api.sh("foo-0", "echo installed > /root/vim")
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 3})
    assert state_finding(api)["status"] == "ok"
    assert "1 families of containers" in ran(api, "backup", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    code, out, _ = run(api, "backup", "-")
    assert (code, json.loads(out)["keys"]) == (0, json.loads(file.read_text())["keys"])
    held, before = api.in_use(), contents(etcd)

    etcd.transact({}, [Delete("/", prefix=True)])
    refused(api, 2093, "etcd is empty", "foo-0", "foo-1 (running)", "restore")
    api.kill_workers()
    wait_for(lambda: _answers(api))
    refused(api, 2093, "etcd is empty")
    assert state_finding(api)["status"] == "FAIL"
    assert dockerd.docker("ps", "--format", "{{.Names}}") == "foo-1"

    assert "etcd explains everything" in ran(api, "restore", str(file))
    after = contents(etcd)
    assert after.pop("/meta/restored")
    assert after == before
    assert state_finding(api)["status"] == "ok"
    assert api.in_use() == held
    assert api.data("PATCH", "/containers/foo-1/gpu", {"gpuCount": 1})["name"] == "foo-2"
    assert api.sh("foo-2", "cat /root/vim") == "installed\n"
    assert api.create("other")["name"] == "other-0"


def _answers(api: Server) -> bool:
    try:
        return api.call("GET", "/containers").ok
    except OSError:  # a worker that is being killed
        return False


def test_after_an_old_backup_nothing_is_changed_until_somebody_has_looked(
    api: Server, dockerd: Dockerd, etcd: EtcdStore, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    api.create("foo", gpuCount=1)
    ran(api, "backup", str(file))
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2})
    api.sh("foo-1", "echo hours > /root/work")
    present = contents(etcd)

    assert "--replace" in failed(api, "restore", str(file))
    assert contents(etcd) == present
    told = ran(api, "restore", str(file), "--replace")
    assert "older than Docker" in told
    (saved,) = [path for path in tmp_path.iterdir() if path != file]
    assert str(saved) in told
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert json.loads(saved.read_text())["keys"] == present
    refused(api, 2093, "older than Docker", "foo-1 (running)")
    assert "foo-1" in state_finding(api)["found"]

    assert "foo-1 (running)" in ran(api, "accept-restored-state", "--dry-run")
    refused(api, 2093)
    assert "docker rm -f foo-1" in ran(api, "accept-restored-state")
    assert "nothing to accept" in ran(api, "accept-restored-state")
    assert state_finding(api)["status"] == "ok"
    assert api.create("other")["name"] == "other-0"
    assert api.call("PATCH", "/containers/foo-0/gpu", {"gpuCount": 3}).json()["code"] == 1014
    assert api.sh("other-0", "echo fine") == "fine\n"
    assert dockerd.docker("exec", "foo-1", "cat", "/root/work") == "hours", "it was left alone"
    dockerd.docker("rm", "-f", "foo-1")
    assert api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 3})["name"] == "foo-1"


def test_and_back_again_with_what_was_saved(api: Server, etcd: EtcdStore, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    api.create("foo", gpuCount=1)
    ran(api, "backup", str(file))
    api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2})
    ran(api, "restore", str(file), "--replace")
    (saved,) = [path for path in tmp_path.iterdir() if path != file]
    assert "etcd explains everything" in ran(api, "restore", str(saved), "--replace")
    assert len(api.in_use()) == 2
    assert api.data("PATCH", "/containers/foo-1/gpu", {"gpuCount": 0})["name"] == "foo-2"


def test_a_volume_that_was_resized_after_the_backup_is_noticed(
    api: Server, dockerd: Dockerd, tmp_path: Path, etcd: EtcdStore
) -> None:
    file = tmp_path / "state.json"
    api.data("POST", "/volumes", {"name": "data", "size": "20MB"})
    ran(api, "backup", str(file))
    try:
        api.data("PATCH", "/volumes/data-0/size", {"size": "30MB"})
        after = tmp_path / "after.json"
        ran(api, "backup", str(after))
        assert "volume data-1" in ran(api, "restore", str(file), "--replace")
        refused(api, 2093, "volume data-1")
        ran(api, "restore", str(after), "--replace")
        assert api.data("GET", "/volumes/data")["size"] == "30MB"
    finally:
        for name in ("data-0", "data-1"):
            api.call("DELETE", f"/volumes/{name}", {"force": True, "delEtcdInfoAndVersionRecord": True})
    assert dockerd.docker("volume", "ls", "-q") == ""


def test_a_damaged_file_changes_nothing(api: Server, etcd: EtcdStore, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    api.create("foo", gpuCount=1)
    ran(api, "backup", str(file))
    before, text = contents(etcd), file.read_text()
    for damaged in (text[: len(text) // 2], text.replace("running", "stopped", 1), "", "\udcff" + text):
        file.write_text(damaged, errors="surrogateescape")
        assert "2090" in failed(api, "restore", str(file), "--replace")
    file.write_text(text.replace('"format": 1', '"format": 9'))
    assert "2091" in failed(api, "restore", str(file), "--replace")
    assert contents(etcd) == before
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_restore_that_is_killed_in_the_middle_is_recognised_and_can_be_repeated(
    api: Server, etcd: EtcdStore, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    api.create("foo", gpuCount=2)
    for start in range(0, 20_000, 100):
        filler = [
            Put(f"/history/{n:022x}", {"id": f"{n:022x}", "node": "test-node"}) for n in range(start, start + 100)
        ]
        etcd.transact({}, filler)
    ran(api, "backup", str(file))
    before = contents(etcd)
    etcd.transact({}, [Delete("/", prefix=True)])
    restore = flask(api, "restore", str(file))
    try:
        wait_for(lambda: etcd.get("/meta/restoring"))
    finally:
        restore.kill()
        restore.communicate()
    found = contents(etcd)
    assert "/meta/restoring" in found and "/meta/schema" not in found, "it was meant to be killed in the middle"
    refused(api, 2094, "--replace")
    api.kill_workers()
    wait_for(lambda: _answers(api))
    refused(api, 2094, "--replace")
    for arguments in (("backup", "-"), ("restore", str(file)), ("accept-restored-state",)):
        assert "2094" in failed(api, *arguments)
    assert state_finding(api)["status"] == "FAIL"
    assert "/meta/schema" not in contents(etcd)

    ran(api, "restore", str(file), "--replace")
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"], "a part of a backup is not worth saving"
    after = contents(etcd)
    assert after.pop("/meta/restored")
    assert after == before
    assert api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 1})["name"] == "foo-1"


def test_a_change_that_ran_during_the_backup_is_undone_only_after_somebody_has_looked(
    api: Server, dockerd: Dockerd, etcd: EtcdStore, tmp_path: Path
) -> None:
    file = tmp_path / "state.json"
    api.create("foo", gpuCount=1, cmd=["sh", "-c", SLOW])
    time.sleep(0.5)  # until the shell has set its trap
    change = threading.Thread(target=api.data, args=("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2}))
    change.start()
    wait_for(lambda: etcd.list("/operations/"))
    assert "1 running operations" in ran(api, "backup", str(file))
    change.join()
    api.sh("foo-1", "echo hours > /root/work")

    assert "foo-1 (running)" in ran(api, "restore", str(file), "--replace")
    api.kill_workers()  # whose operation it was
    wait_for(lambda: _answers(api))
    refused(api, 2093, "foo-1 (running)")
    assert api.call("PATCH", "/containers/foo/gpu", {"gpuCount": 4}).json()["code"] == 2093
    assert dockerd.docker("exec", "foo-1", "cat", "/root/work") == "hours"
    assert "REMOVES" in ran(api, "accept-restored-state", "--dry-run")
    ran(api, "accept-restored-state")
    wait_for(lambda: not etcd.list("/operations/"))
    assert dockerd.docker("ps", "-a", "--format", "{{.Names}} {{.State}}") == "foo-0 running"
    assert len(api.in_use()) == 1
    assert api.data("PATCH", "/containers/foo-0/gpu", {"gpuCount": 2})["name"] == "foo-1"


def test_a_file_that_cannot_be_written_is_told(api: Server, tmp_path: Path) -> None:
    assert "nothing at" in failed(api, "backup", "-")
    api.create("foo")
    assert "cannot be written" in failed(api, "backup", str(tmp_path / "nowhere/state.json"))
    assert "no regular file" in failed(api, "backup", "/dev/null")


def test_the_command_of_the_repository_works_in_the_caller_s_directory(api: Server, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('a stranger was imported')")
    api.create("foo", gpuCount=1)
    command: Command = [str(ROOT / "gpudock"), "backup", "state.json"]
    done = subprocess.run(command, cwd=tmp_path, env=api._environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "state.json").read_text())["header"]["prefix"] == PREFIX
    piped = subprocess.run(
        [*command[:2], "-"], cwd=tmp_path, env=api._environment, capture_output=True, text=True, check=True
    )
    assert json.loads(piped.stdout)["header"]["nodes"] == ["test-node"]

"""gpudock as it is installed: its wheel, in an environment with nothing but the locked packages, in any directory."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
import requests

from app.adapters.etcd import EtcdStore
from app.ports import Put
from tests.support.etcd import EtcdServer, free_port
from tests.support.volumes import wait_for

ROOT = Path(__file__).parents[2]
SOURCES = ("app", "static", "templates", "gunicorn.conf.py", "pyproject.toml", "setup.cfg", "README.md")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
PREFIX, TOKEN = "/installed", "sixteen-characters"


@dataclass(frozen=True)
class Installed:
    """An environment, and a directory that is not gpudock's, where a stranger waits to be imported."""

    programs: Path
    place: Path
    settings: Mapping[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command `gpudock` to its end."""
        command = [str(self.programs / "gpudock"), *arguments]
        return subprocess.run(
            command, cwd=self.place, env=self.settings, capture_output=True, text=True, check=False, timeout=120
        )

    @contextmanager
    def serve(self) -> Iterator[str]:
        """The address at which `gpudock serve` answers."""
        url = f"http://127.0.0.1:{free_port()}"
        settings = {**self.settings, "GPUDOCK_BIND": url.removeprefix("http://"), "GPUDOCK_TOKEN": TOKEN}
        command = [str(self.programs / "gpudock"), "serve"]
        with (self.place / "log").open("wb") as log:
            server = subprocess.Popen(command, cwd=self.place, env=settings, stdout=log, stderr=log)
        try:
            wait_for(lambda: server.poll() is not None or answers(url))
            assert server.poll() is None, (self.place / "log").read_text()
            yield url
        finally:
            server.terminate()
            server.wait(60)


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def locked() -> set[str]:
    """The names of the packages that production gets."""
    return set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


def build(directory: Path) -> Path:
    """The wheel, made of a copy: building leaves files behind."""
    source = directory / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(directory))
    subprocess.run([*PIP, "wheel", "--quiet", *options, str(source)], check=True)
    (wheel,) = directory.glob("*.whl")
    return wheel


def make_environment(directory: Path) -> Path:
    """The `bin` of an environment that has the locked packages of this one, and so needs no network."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    for name in locked():
        for file in distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(file.locate()), packages / file)
    return directory / "bin"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("installed")
    made = make_environment(directory / "environment")
    pip = [*PIP, "--python", str(made / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(build(directory))], check=True)
    subprocess.run([*pip, "check", "--quiet"], check=True)
    return made


@pytest.fixture
def installed(programs: Path, tmp_path: Path, etcd_server: EtcdServer) -> Installed:
    (tmp_path / "app.py").write_text("raise SystemExit('a stranger was imported')")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GPUDOCK_", "PYTHON"))}
    settings = {
        "GPUDOCK_ETCD": "{}:{}".format(*etcd_server.endpoint),
        "GPUDOCK_PREFIX": PREFIX,
        "GPUDOCK_GPUS": "simulated:8",
        "DOCKER_HOST": "unix:///nowhere.sock",
    }
    return Installed(programs, tmp_path, kept | settings)


def test_it_has_what_is_locked_and_nothing_else(programs: Path) -> None:
    command = [*PIP, "--python", str(programs / "python"), "list", "--format=json"]
    listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert {re.sub(r"[-_.]+", "-", each["name"].lower()) for each in listed} == locked() | {"gpudock"}


def test_the_command_tells_what_it_can(installed: Installed) -> None:
    done = installed.run("--help")
    assert done.returncode == 0 and all(name in done.stdout for name in ("backup", "doctor", "reconcile", "serve"))
    assert installed.run("--version").stdout.startswith("gpudock, version ")


def test_doctor_works_also_when_a_setting_is_wrong(installed: Installed) -> None:
    found = json.loads(installed.run("doctor", "--json").stdout)["findings"]
    status = {finding["part"]: finding["status"] for finding in found}
    assert status["etcd"] == "ok" and status["docker"] == "FAIL"
    wrong = Installed(installed.programs, installed.place, {**installed.settings, "GPUDOCK_PORT_RANGE": "everything"})
    assert "GPUDOCK_PORT_RANGE" in wrong.run("doctor").stdout
    refused = wrong.run("backup", "-")
    assert refused.returncode == 1 and "GPUDOCK_PORT_RANGE" in refused.stderr and "Traceback" not in refused.stderr


def test_a_backup_goes_to_the_caller_s_directory(installed: Installed, etcd_server: EtcdServer) -> None:
    store = EtcdStore([etcd_server.endpoint], PREFIX)
    store.transact({}, [Put("/volumes/foo", {"schema": 1})])
    store.close()
    done = installed.run("backup", "state.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((installed.place / "state.json").read_text())["header"]["prefix"] == PREFIX


def test_pages_are_served_with_their_files_and_in_the_reader_s_language(installed: Installed) -> None:
    with installed.serve() as url:
        english, chinese = (
            requests.get(f"{url}/login", headers={"Accept-Language": language}, timeout=60).text
            for language in ("en", "zh-CN")
        )
        assert "Log in" in english and "登录" in chinese
        assert requests.get(f"{url}/static/css/base.css", timeout=60).ok
        authorized = {"Authorization": f"Bearer {TOKEN}"}
        gpus = requests.get(f"{url}/api/v1/gpus", headers=authorized, timeout=60)
        assert len(gpus.json()["data"]["gpuStatus"]) == 8

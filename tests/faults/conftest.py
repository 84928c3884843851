"""Fixtures of the fault suite, and the line with its figure."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults import sites
from tests.faults.lab import SEED, THOROUGH, Lab, laboratory
from tests.faults.sites import RichSite, Site
from tests.support.dockerd import Dockerd
from tests.support.etcd import EtcdServer


class Tally:
    """Counts the faults that were tried, and those after which everything was as it must be."""

    def __init__(self) -> None:
        self.tried = self.survived = 0
        self._lock = threading.Lock()

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Around one fault and the look at what came of it, which fails if that is not right."""
        with self._lock:
            self.tried += 1
        yield
        with self._lock:
            self.survived += 1


_TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[_TALLY] = Tally()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each of these tests more time than others need."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(7200 if THOROUGH else 900))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many there were."""
    tally = config.stash[_TALLY]
    terminalreporter.write_line(f"GPUDOCK_FAULTS_SEED={SEED} chooses the same ones again")
    terminalreporter.write_line(f"faults tried {tally.tried}, survived {tally.survived}")


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """The count."""
    return pytestconfig.stash[_TALLY]


@pytest.fixture(scope="session")
def main_lab(dockerd: Dockerd, image: str, etcd_server: EtcdServer) -> Iterator[Lab]:
    """One gpudock for all tests that leave Docker and etcd alive."""
    with laboratory(dockerd, [etcd_server], {}) as lab:
        yield lab


@pytest.fixture
def lab(main_lab: Lab) -> Iterator[Lab]:
    """The same; nothing is under way before the test, and nothing that must not be is left behind it."""
    yield main_lab
    assert main_lab.settled() == []
    assert main_lab.untouched() == []


@pytest.fixture(scope="session")
def plain_site() -> Iterator[Site]:
    """One for all tests that harm Docker and etcd only."""
    with sites.plain() as site:
        yield site


@pytest.fixture
def plain(plain_site: Site) -> Site:
    """A site whose Docker and etcd may be harmed."""
    plain_site.lab.begin_anew()
    return plain_site


@pytest.fixture(scope="session")
def rich_site() -> Iterator[RichSite]:
    """One for all tests that harm the rest too."""
    with sites.rich() as site:
        yield site


@pytest.fixture
def rich(rich_site: RichSite) -> RichSite:
    """A site whose disk, clock and GPUs may be harmed too."""
    rich_site.lab.begin_anew()
    return rich_site

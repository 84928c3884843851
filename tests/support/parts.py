"""Which programs the collected tests need, for `make test ARGS=…`: a plugin that only scripts/test loads.

The first directory tells: tests/unit and tests/pages need none, those on XFS a machine that has it, all others servers
of their own; who opens a window needs a browser besides. `scripts/install test PART...` installs them.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PLAIN = ("unit", "pages")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parts", type=Path, help="the file into which the needed parts are written, one a line")


def pytest_collection_finish(session: pytest.Session) -> None:
    file: Path = session.config.getoption("--parts")
    file.write_text("".join(f"{part}\n" for part in sorted(needed(session.items))))


def needed(items: Iterable[pytest.Item]) -> set[str]:
    """The parts that these tests need."""
    return {part for item in items for part in _needed(item)}


def _needed(item: pytest.Item) -> Iterable[str]:
    directory = item.path.relative_to(TESTS).parts[0]
    if directory not in PLAIN:
        yield "xfs" if directory == "xfs" else "servers"
        if "window" in getattr(item, "fixturenames", ()):
            yield "browser"

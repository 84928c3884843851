"""What docs/ names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:app|tests|docs|migrations_notes)/[\w/.]*)`")


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    named = [name for name in NAMED.findall(document.read_text()) if "NAME" not in name]
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_way_of_a_change_is_short() -> None:
    """Of the way of a change of GPUs at most 15 files are passed, and 6 (in bold) to be opened to understand it."""
    document = (ROOT / "docs/architecture.md").read_text()
    way = document.partition("## The way of one change of GPUs")[2].partition("\n#")[0]
    rows = [line for line in way.splitlines() if re.match(r"\| \d+ \|", line)]
    assert 0 < len(rows) <= 15 and sum("**" in line for line in rows) <= 6

"""The Chinese README has what the English one has: settings, sections, tables and commands."""

import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGLISH = ROOT / "README.md"
CHINESE = ROOT / "README.zh.md"


def settings(text: str) -> list[str]:
    return sorted(set(re.findall(r"GPUDOCK_[A-Z_]+", text)))


def headings(text: str) -> int:
    return len(re.findall(r"^## ", text, re.MULTILINE))


def table_rows(text: str) -> list[int]:
    """How many rows each table has, its head and the line below that included."""
    return [len(list(rows)) for table, rows in groupby(text.splitlines(), lambda line: line.startswith("|")) if table]


def commands(text: str) -> list[str]:
    """The lines of the indented code blocks, in order, without their comments, which are translated."""
    code = [line.rstrip() for line in text.splitlines() if line.startswith("    ")]
    return [line for line in (re.sub(r"\s+# .*", "", line) for line in code) if line]


@pytest.mark.parametrize("part", [settings, headings, table_rows, commands], ids=lambda part: part.__name__)
def test_the_chinese_readme_has_what_the_english_one_has(part: Callable[[str], object]) -> None:
    english = part(ENGLISH.read_text("utf-8"))
    assert english
    assert part(CHINESE.read_text("utf-8")) == english

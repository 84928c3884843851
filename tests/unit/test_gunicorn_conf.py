"""The directory that gunicorn's workers share: private, removed in the end, and another one after a reload."""

import logging
import os
import runpy
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.web import shared_cache

MASTER = SimpleNamespace(log=logging.getLogger("gunicorn.test"))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv(shared_cache.DIRECTORY, "/what/somebody/set")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return runpy.run_path(str(Path(__file__).parents[2] / "gunicorn.conf.py"))


def test_it_is_there_from_the_start_to_the_end_and_another_one_after_a_reload(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["on_starting"](MASTER)
    first = shared_cache.shared_directory()
    assert first is not None and first.parent == tmp_path and stat.S_IMODE(first.stat().st_mode) == 0o700
    (first / "known").write_text("of an older program")
    settings["on_reload"](MASTER)
    assert [shared_cache.shared_directory()] == list(tmp_path.iterdir()) != [first]
    settings["on_exit"](MASTER)
    assert list(tmp_path.iterdir()) == []


def test_without_a_place_for_it_gunicorn_starts_all_the_same(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    settings["on_starting"](MASTER)
    assert shared_cache.DIRECTORY not in os.environ and "each worker remembers by itself" in caplog.text
    settings["on_exit"](MASTER)

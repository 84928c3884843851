"""However slow the machine is, pages wait for what the fakes do, and ages are those of a clock that the tests wind."""

from types import SimpleNamespace

import pytest

from app.web import last_known_cache
from app.web.pages import form_actions
from app.web.pages.containers import delete, detail, image

LONG = 60.0


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form_actions, "PATIENCE", LONG)
    for module in (delete, detail, image):
        monkeypatch.setattr(module, "_PATIENCE", LONG)


class Clock:
    """Shows `now`, in seconds, until that is changed."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which pages tell how old what they show is."""
    clock = Clock()
    monkeypatch.setattr(last_known_cache, "time", SimpleNamespace(monotonic=clock))
    return clock

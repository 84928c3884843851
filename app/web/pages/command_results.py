"""Results of commands, kept for a while: a page that is loaded again shows one again, and runs nothing again."""

import secrets
from dataclasses import dataclass, replace
from typing import cast

from flask import Flask, current_app

from app.model.container import ExecResult
from app.web.shared_cache import SharedCache, shared_directory

# How long, in minutes, a result is kept.
MINUTES = 15
_EXTENSION = "gpudock_command_results"
# A result may have several MB.
_MOST, _MOST_BYTES = 50, 64 << 20
# What was typed stays as long as a login.
_MOST_TYPED, _MOST_TYPED_BYTES, _TYPED_SECONDS = 1000, 4 << 20, 12 * 3600


@dataclass(frozen=True)
class CommandFailure:
    """The reason for which a command failed, and the id of the request that was told so."""

    message: str
    request_id: str


@dataclass(frozen=True)
class CommandRun:
    """A command for the container `name` as it was typed, what it printed, and why it failed, if it did."""

    name: str
    command: str = ""
    work_dir: str = ""
    result: ExecResult | None = None
    failure: CommandFailure | None = None

    @property
    def ended(self) -> bool:
        """Tell whether the command's outcome is known."""
        return self.result is not None or self.failure is not None


class CommandResults:
    """Keeps results, and for longer what was typed, under ids that cannot be guessed."""

    def __init__(self, results: SharedCache, typed: SharedCache) -> None:
        self._results = results
        self._typed = typed

    def keep(self, run: CommandRun) -> str | None:
        """Keep it; its id, None if it could not be kept."""
        identity = secrets.token_urlsafe(16)
        self._typed.put(identity, replace(run, result=None, failure=None))
        return identity if self._results.put(identity, run) else None

    def find(self, identity: str, name: str) -> CommandRun:
        """Return the run kept for the container `name`: only what was typed if it is old, nothing if that is too."""
        found = self._results.get(identity) or self._typed.get(identity)
        return found[0] if found and found[0].name == name else CommandRun(name)


def init_app(app: Flask) -> None:
    """Give the app a place for results."""
    directory = shared_directory()
    results = SharedCache(directory and directory / "results", _MOST, _MOST_BYTES, MINUTES * 60)
    typed = SharedCache(directory and directory / "commands", _MOST_TYPED, _MOST_TYPED_BYTES, _TYPED_SECONDS)
    app.extensions[_EXTENSION] = CommandResults(results, typed)


def command_results() -> CommandResults:
    """The results that the current app keeps."""
    return cast(CommandResults, current_app.extensions[_EXTENSION])

"""The list of operations, running and past, and the button to cancel one."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from app.errors import NotCancellable
from app.pages.asked import act, wanted
from app.pages.filters import kind_words
from app.pages.seen import Seen
from app.services.operations import STATES
from app.web import services


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/operations", view_func=operations)
    blueprint.add_url_rule("/operations/<identity>/cancel", view_func=cancel, methods=["POST"])


def operations() -> str:
    """The operations in `state` on what has `name` in its name, those older than the one with the id `after`."""
    asked = wanted(STATES)
    seen = Seen()
    seen.see_operations(asked)
    seen.see_names()
    return render_template("operations.html", seen=seen, states=STATES, wanted=asked)


def cancel(identity: str) -> ResponseReturnValue:
    """Have an operation undone, and go back."""
    return act(lambda: _cancel(identity))


def _cancel(identity: str) -> str:
    view = services().operations.cancel(identity)
    what = f"{kind_words(view.operation.kind)} {view.operation.name}"
    if view.state == "done":
        raise NotCancellable(f"{what} was done before it could be cancelled")
    if view.state == "running":
        return f"{what} is asked to stop; it is undone as soon as its present step allows"
    return f"{what} was cancelled and undone"

"""One container: its settings, its versions, its log, and the buttons to stop and restart it and to go back."""

from collections.abc import Callable

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from app.domain.naming import Name, parse
from app.errors import DomainError
from app.pages.asked import act
from app.pages.seen import Seen
from app.services.inquiry import VersionView
from app.services.versions import Made
from app.web import services

LOG_LINES = 100


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/containers/<name>", view_func=container)
    blueprint.add_url_rule("/containers/<name>/stop", view_func=stop, methods=["POST"])
    blueprint.add_url_rule("/containers/<name>/restart", view_func=restart, methods=["POST"])
    blueprint.add_url_rule("/containers/<name>/rollback", "roll_container_back", rollback, methods=["POST"])


def container(name: str) -> str:
    """The version `name` of a container, and the list of all its versions."""
    asked = parse(name)
    view = services().inquiry.container(asked)
    shown = next(v for v in view.versions if asked.version in (None, v.record.version))
    seen = Seen()
    if shown.record.gpus:
        seen.see_gpus()
    if shown.record.spec.binds:
        seen.see_names()
    return render_template("container.html", view=view, shown=shown, log=_log(shown), seen=seen)


def stop(name: str) -> ResponseReturnValue:
    """Stop a container, and go back."""
    return _act(name, services().lifecycle.stop, "is stopped; its GPUs are free")


def restart(name: str) -> ResponseReturnValue:
    """Restart a container, perhaps as its next version, and go back."""
    return _act(name, services().lifecycle.restart, "runs")


def rollback(name: str) -> ResponseReturnValue:
    """Make the next version of a container from the older one `name`, and go back."""
    return _act(name, _roll_back, f"runs with the files and settings of {name}")


def _roll_back(asked: Name) -> Made:
    version = services().records.version(asked).version
    return services().changer.rollback(Name(asked.family), version)


def _act(name: str, action: Callable[[Name], Made], outcome: str) -> ResponseReturnValue:
    return act(lambda: f"{action(parse(name)).name} {outcome}")


def _log(shown: VersionView) -> str | None:
    """The last lines of its output; None where there can be none."""
    if shown.state in ("missing", "removed", "remote"):
        return None
    try:
        return services().inside.logs(Name(shown.record.family, shown.record.version), LOG_LINES)
    except DomainError as exc:
        return f"The log cannot be read: {exc.message}"

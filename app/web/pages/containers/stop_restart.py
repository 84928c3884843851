"""Stop and restart a container: each page says what that means before it is done."""

from collections.abc import Callable
from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue

from app.containers.restart import RestartContainer
from app.containers.stop import StopContainer
from app.containers.transactions import ContainerResult
from app.model.names import Name, parse
from app.operations.base import Request
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.detail import version_of
from app.web.pages.form_actions import answer
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import services


@blueprint.route("/containers/<name>/stop", methods=["GET", "POST"])
def stop(name: str) -> ResponseReturnValue:
    """Ask, then stop a container."""
    return _ask("container_stop.html", StopContainer(parse(name)), _stopped)


@blueprint.route("/containers/<name>/restart", methods=["GET", "POST"])
def restart(name: str) -> ResponseReturnValue:
    """Ask, then restart a container, perhaps as its next version."""
    return _ask("container_restart.html", RestartContainer(parse(name)), _restarted)


def consequences(target: Name, change: Request[Any]) -> dict[str, Any]:
    """Return what a page shows of a container before it is changed: its state, and what would happen."""
    data = PageData()
    view = data.load_container(target)
    data.load_gpus()
    plan = services().operations.preview(change)
    return {"data": data, "view": view, "shown": version_of(view, target), "preview": plan}


def _ask(
    template: str, change: StopContainer | RestartContainer, describe: Callable[[ContainerResult], str]
) -> ResponseReturnValue:
    back = url_for("pages.container", name=change.name.family)
    return answer(template, lambda: consequences(change.name, change), change, describe, back)


def _stopped(made: ContainerResult) -> str:
    return _("%(name)s is stopped; its GPUs are free", name=made.name)


def _restarted(made: ContainerResult) -> str:
    return _("%(name)s runs", name=made.name)

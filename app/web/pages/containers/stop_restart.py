"""Stop and restart a container: each page says what that means before it is done."""

from collections.abc import Callable
from typing import Any

from flask import url_for
from flask.typing import ResponseReturnValue

from app.containers.transactions import ContainerResult
from app.model.names import Name, parse
from app.operations.preview import preview
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.detail import version_of
from app.web.pages.form_actions import answer
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import services


@blueprint.route("/containers/<name>/stop", methods=["GET", "POST"])
def stop(name: str) -> ResponseReturnValue:
    """Ask, then stop a container."""
    target, lifecycle = parse(name), services().lifecycle
    return _ask("container_stop.html", target, lambda: lifecycle.stop(target), _stopped)


@blueprint.route("/containers/<name>/restart", methods=["GET", "POST"])
def restart(name: str) -> ResponseReturnValue:
    """Ask, then restart a container, perhaps as its next version."""
    target, lifecycle = parse(name), services().lifecycle
    return _ask("container_restart.html", target, lambda: lifecycle.restart(target), _restarted)


def consequences(target: Name, work: Callable[[], object]) -> dict[str, Any]:
    """Return what a page shows of a container before `work` changes it: its state, and what would happen."""
    data = PageData()
    view = data.load_container(target)
    data.load_gpus()
    return {"data": data, "view": view, "shown": version_of(view, target), "preview": preview(work)}


def _ask(
    template: str, target: Name, work: Callable[[], ContainerResult], describe: Callable[[ContainerResult], str]
) -> ResponseReturnValue:
    back = url_for("pages.container", name=target.family)
    return answer(template, lambda: consequences(target, work), work, describe, back)


def _stopped(made: ContainerResult) -> str:
    return _("%(name)s is stopped; its GPUs are free", name=made.name)


def _restarted(made: ContainerResult) -> str:
    return _("%(name)s runs", name=made.name)

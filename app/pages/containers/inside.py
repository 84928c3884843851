"""What is done with one container as it is: run a command, read its output."""

import shlex

from flask import Blueprint, make_response, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import escape
from werkzeug.wrappers import Response

from app.domain.containers import ExecResult
from app.domain.naming import parse
from app.errors import CommandTimeout, DomainError
from app.pages.containers.detail import LOG_LINES
from app.pages.doing import Refusal, page, refused
from app.pages.filters import plain
from app.pages.texts import _
from app.web import services

_LOG_LINES = 5000


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/containers/<name>/execute", "execute", execute, methods=["GET", "POST"])
    blueprint.add_url_rule("/containers/<name>/log", "container_log", log)


def execute(name: str) -> ResponseReturnValue:
    """Run the command of the form in a container, and show what it printed."""
    target = parse(name)
    command, work_dir = (request.form.get(key, "").strip() for key in ("command", "work_dir"))
    result, refusal = None, None
    if request.method == "POST":
        try:
            result = services().inside.execute(target, _words(command), work_dir or None)
        except CommandTimeout as exc:
            so_far = exc.data or {}
            result = ExecResult(so_far["stdout"], so_far["stderr"], None, False, timed_out=True)
            refusal = refused(exc)
        except _NotWords as exc:
            refusal = Refusal(str(exc))
        except DomainError as exc:
            refusal = refused(exc)
    return page(
        "container_execute.html",
        lambda: {"name": str(target), "command": command, "work_dir": work_dir, "result": result},
        refusal,
    )


def log(name: str) -> Response:
    """The end of a container's output: for htmx as the container's page shows it, else more of it on its own page."""
    target = parse(name)
    if "HX-Request" not in request.headers:
        text = services().inside.logs(target, _LOG_LINES)
        return make_response(render_template("container_log.html", name=str(target), log=text, lines=_LOG_LINES))
    response = make_response(escape(plain(services().inside.logs(target, LOG_LINES))))
    response.add_etag()
    return response.make_conditional(request)


class _NotWords(Exception):
    """The line of a command cannot be split into words."""


def _words(command: str) -> list[str]:
    """A command line as the shell would split it."""
    try:
        return shlex.split(command)
    except ValueError as exc:
        raise _NotWords(_("the command cannot be read: a quotation mark is missing")) from exc

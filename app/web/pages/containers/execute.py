"""Pages for work in one container as it is: run a command, read its output."""

import shlex
from dataclasses import replace

from flask import make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from markupsafe import escape
from werkzeug.wrappers import Response

from app.errors import CommandTimeout, DomainError
from app.model.container import ExecResult
from app.model.names import Name, parse
from app.model.redaction import masked_command
from app.web.http_errors import status_of
from app.web.pages.blueprint import blueprint
from app.web.pages.command_results import MINUTES, CommandFailure, CommandRun, command_results
from app.web.pages.containers.detail import LOG_LINES
from app.web.pages.containers.timeline import HIDDEN
from app.web.pages.filters import plain
from app.web.pages.form_actions import Refusal, refused
from app.web.pages.page_texts import _
from app.web.request_scope import services

_LOG_LINES = 5000
# In the session: the last result of a command that was typed in this browser.
_TYPED = "typed"


@blueprint.route("/containers/<name>/execute", methods=["GET", "POST"])
def execute(name: str) -> ResponseReturnValue:
    """Run the command of the form in a container, and lead to the page that shows what it printed."""
    target = parse(name)
    if request.method == "POST":
        return _run(target)
    identity = request.args.get("result", "")
    run = command_results().find(identity, str(target))
    gone = bool(identity) and not run.ended
    words = _words(run.command)
    shown = masked_command(words, HIDDEN)
    if shown == tuple(words) or session.get(_TYPED) == identity:
        return _page(run, run.failure, gone)
    # Nothing to be sent again: with the mask in it, it would be another command.
    return _page(replace(run, command=""), run.failure, gone, shlex.join(shown))


def _run(target: Name) -> ResponseReturnValue:
    command, work_dir = (request.form.get(key, "").strip() for key in ("command", "work_dir"))
    run = CommandRun(str(target), command, work_dir)
    try:
        return _shown(replace(run, result=services().containers.execute(target, _words(command), work_dir or None)))
    except _NotWords as exc:
        refusal = Refusal(str(exc))
    except DomainError as exc:
        refusal = refused(exc)
        if _begun(exc):
            return _shown(
                replace(run, result=_so_far(exc), failure=CommandFailure(refusal.message, refusal.request_id))
            )
    return _page(run, refusal), refusal.status


def _shown(run: CommandRun) -> ResponseReturnValue:
    """The way to what came of it, so that nobody who looks again runs it again; that itself if no disk keeps it."""
    if identity := command_results().keep(run):
        session[_TYPED] = identity
        return redirect(url_for("pages.execute", name=run.name, result=identity), 303)
    return _page(run, run.failure)


def _begun(error: DomainError) -> bool:
    """Tell whether the command may have done something before it failed."""
    return isinstance(error, CommandTimeout) or status_of(error) >= 500


def _so_far(error: DomainError) -> ExecResult | None:
    """Return the output that a command had printed until it was killed."""
    if not isinstance(error, CommandTimeout) or error.data is None:
        return None
    return ExecResult(error.data["stdout"], error.data["stderr"], None, False, timed_out=True)


def _page(run: CommandRun, refusal: Refusal | CommandFailure | None, gone: bool = False, masked: str = "") -> str:
    return render_template(
        "container_execute.html", run=run, refusal=refusal, gone=gone, minutes=MINUTES, masked=masked
    )


@blueprint.route("/containers/<name>/log")
def container_log(name: str) -> Response:
    """The end of a container's output: for htmx as the container's page shows it, else more of it on its own page."""
    target = parse(name)
    if "HX-Request" not in request.headers:
        text = services().containers.logs(target, _LOG_LINES)
        return make_response(render_template("container_log.html", name=str(target), log=text, lines=_LOG_LINES))
    response = make_response(escape(plain(services().containers.logs(target, LOG_LINES))))
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

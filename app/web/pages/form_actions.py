"""Actions of forms: the next page tells the outcome, a refusal stays on the page with what was typed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import flash, g, redirect, render_template, request
from flask.typing import ResponseReturnValue

from app.errors import DomainError, OnAnotherNode
from app.model.operation import Operation
from app.operations.background import Background, Work
from app.operations.base import Request
from app.web.http_errors import log_failure, status_of
from app.web.pages.page_texts import _
from app.web.pages.words import kind_words
from app.web.request_scope import services

# A change that takes longer, in seconds, goes on in the background; the page of its subject shows how far it is.
PATIENCE = 3.0
T = TypeVar("T")
Context = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Refusal:
    """The reason why a form was not carried out: `error` is None if the form itself is at fault, see its fields."""

    message: str
    status: int = 400
    error: DomainError | None = None

    @property
    def request_id(self) -> str:
        """Return the id by which the operator of the service finds the request."""
        return str(g.request_id)


def refused(error: DomainError) -> Refusal:
    """The refusal that an error is, noted in the log if it is not the caller's; OnAnotherNode goes on its way."""
    if isinstance(error, OnAnotherNode):
        raise error
    log_failure(error)
    return Refusal(error.message, status_of(error), error)


def execute(
    change: Request[T] | Work[T], describe: Callable[[T], str], target: str, meanwhile: str | None = None
) -> ResponseReturnValue | Refusal:
    """Carry a change out, then go to `target` with the outcome as a sentence, which `describe` makes of the result.

    It runs in another thread, so it must not depend on the HTTP request. If it takes long, the page `meanwhile`
    (`target`, unless that is not there before the end) shows it going on.
    """
    try:
        outcome = _in_background(change).finish(PATIENCE)
    except DomainError as exc:
        return refused(exc)
    if isinstance(outcome, Operation):
        words = {"what": kind_words(outcome.kind), "name": outcome.name}
        flash(_("%(name)s: %(what)s is under way and goes on by itself", **words), "info")
        return redirect(meanwhile or target, 303)
    flash(describe(outcome), "success")
    return redirect(target, 303)


def _in_background(change: Request[T] | Work[T]) -> Background[T]:
    return services().operations.in_background(change) if isinstance(change, Request) else Background(change)


def answer(
    template: str, context: Context, change: Request[T] | Work[T], describe: Callable[[T], str], target: str
) -> ResponseReturnValue:
    """Show the page that asks before something is done; when its form is sent, do that as `execute` does it."""
    if request.method != "POST":
        return page(template, context, None)
    done = execute(change, describe, target)
    return page(template, context, done) if isinstance(done, Refusal) else done


def page(template: str, context: Context, refusal: Refusal | None) -> ResponseReturnValue:
    """A page with a form, and above it why it was refused, if it was."""
    return render_template(template, refusal=refusal, **context()), refusal.status if refusal else 200

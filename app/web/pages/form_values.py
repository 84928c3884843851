"""Values of a request for a page or from a form."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from flask import flash, g, redirect, request
from flask.typing import ResponseReturnValue

from app.errors import DomainError, OnAnotherNode
from app.web import auth
from app.web.http_errors import log_failure
from app.web.pages.localize import localize
from app.web.pages.page_texts import _


@dataclass(frozen=True)
class ListFilter:
    """The part of a list that is to be shown: in `state`, with `name` in its name, beginning after `after`."""

    state: str | None = None
    name: str | None = None
    after: str | None = None

    @property
    def filtered(self) -> bool:
        """Tell whether that may be less than everything."""
        return any((self.state, self.name, self.after))


def list_filter(states: Collection[str]) -> ListFilter:
    """Return the filter in the request's query; a state that is none of `states` counts as none."""
    state, name, after = (request.args.get(key, "").strip() or None for key in ("state", "name", "after"))
    return ListFilter(state if state in states else None, name, after)


def act(work: Callable[[], str]) -> ResponseReturnValue:
    """Do what a form's button is for, then go back to where it says; `work` returns the outcome as a sentence.

    The next page tells the outcome, or why it was refused or failed and the id of the request that was.
    """
    try:
        flash(work(), "success")
    except OnAnotherNode:  # it is sent on there
        raise
    except DomainError as exc:
        log_failure(exc)
        flash(f"{localize(exc.message)} ({_('Request %(id)s', id=g.request_id)})", "error")
    return redirect(auth.local_path(request.form.get("next", "/")), 303)

"""The list of operations, running and past, one operation with its steps, and the button to cancel one."""

from dataclasses import dataclass

from flask import request
from flask.typing import ResponseReturnValue

from app.errors import Cancelled, NotCancellable
from app.model.messages import Text
from app.model.operation import Kind, State, Step
from app.operations.queries import OperationView
from app.web.pages import polling
from app.web.pages.blueprint import blueprint
from app.web.pages.form_values import ListFilter, act, wanted
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.pages.words import kind_words
from app.web.request_scope import services


@dataclass(frozen=True)
class WantedOperations(ListFilter):
    """The operations that are to be shown: of `kind`, asked for by `who`, and as ListFilter says."""

    kind: str | None = None
    who: str | None = None

    @property
    def filtered(self) -> bool:
        """Tell whether that may be less than everything."""
        return super().filtered or self.kind is not None or self.who is not None


@blueprint.route("/operations")
def operations() -> ResponseReturnValue:
    """Those of a `kind`, in a `state`, of `who`, on what has `name` in its name, older than the one with id `after`."""
    asked, kind, who = wanted(tuple(State)), request.args.get("kind"), request.args.get("who", "").strip() or None
    asked = WantedOperations(asked.state, asked.name, asked.after, kind if kind in list(Kind) else None, who)
    seen = PageData()
    seen.see_operations(asked)
    seen.see_names()
    names = sorted({name for name, _token in services().config.tokens} | ({who} if who else set()))
    return polling.page("operations.html", seen=seen, states=list(State), kinds=list(Kind), names=names, wanted=asked)


@blueprint.route("/operations/<identity>")
def operation(identity: str) -> ResponseReturnValue:
    """One operation: what it does or did, to what, its steps and how long each took."""
    seen = PageData()
    view = seen.need(("operation", identity), lambda: services().operations.queries.one(identity))
    seen.see_gpus()
    seen.see_names()
    return polling.page("operation.html", seen=seen, view=view, steps=_steps(view))


@blueprint.route("/operations/<identity>/cancel", methods=["POST"])
def cancel(identity: str) -> ResponseReturnValue:
    """Have an operation undone, and go back."""
    return act(lambda: _cancel(identity))


def _cancel(identity: str) -> str:
    view = services().operations.queries.one(identity)
    if view.code != Cancelled.code:  # otherwise the button was pressed twice, and the first press did it
        view = services().operations.queries.cancel(identity)
    operation = view.operation
    if view.state == State.DONE:
        raise NotCancellable(
            Text("{what} {name} was done before it could be cancelled", what=Text(operation.kind), name=operation.name)
        )
    what = {"what": kind_words(operation.kind), "name": operation.name}
    if view.state == State.RUNNING:
        return _("%(what)s %(name)s is asked to stop; it is undone as soon as its present step allows", **what)
    return _("%(what)s %(name)s was cancelled and undone", **what)


def _steps(view: OperationView) -> list[tuple[Step, str, str | None]]:
    """Each step with when it was reached and left; the one at work has not been left."""
    reached = [(Step.CLAIMED, view.operation.started), *view.operation.steps]
    left = [*(time for _step, time in reached[1:]), view.ended]
    return [(step, begun, end) for (step, begun), end in zip(reached, left, strict=True)]

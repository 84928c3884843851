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
from app.web.pages.form_values import ListFilter, act, list_filter
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.pages.words import kind_words
from app.web.request_scope import services


@dataclass(frozen=True)
class OperationFilter(ListFilter):
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
    kinds, kind, who = list(Kind), request.args.get("kind"), request.args.get("who", "").strip() or None
    criteria = list_filter(tuple(State))
    criteria = OperationFilter(criteria.state, criteria.name, criteria.after, kind if kind in kinds else None, who)
    data = PageData()
    data.load_operations(criteria)
    data.load_names()
    names = sorted({name for name, _token in services().config.tokens} | ({who} if who else set()))
    return polling.page("operations.html", data=data, states=list(State), kinds=kinds, names=names, criteria=criteria)


@blueprint.route("/operations/<identity>")
def operation(identity: str) -> ResponseReturnValue:
    """One operation: what it does or did, to what, its steps and how long each took."""
    data = PageData()
    view = data.require(("operation", identity), lambda: services().operations.queries.one(identity))
    data.load_gpus()
    data.load_names()
    return polling.page("operation.html", data=data, view=view, steps=_steps(view))


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


def _steps(view: OperationView) -> list[tuple[Step | str, str, str | None]]:
    """Each step with when it was reached and left; the one at work has not been left."""
    reached = [(Step.CLAIMED, view.operation.started), *view.operation.steps]
    left = [*(time for _step, time in reached[1:]), view.ended]
    return [(step, begun, end) for (step, begun), end in zip(reached, left, strict=True)]

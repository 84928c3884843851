"""The list of operations, running and past, one operation with its steps; to cancel one, and to resolve a stuck one."""

from dataclasses import dataclass

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.errors import Cancelled, DomainError, NotCancellable, OnAnotherNode
from app.model.messages import Text
from app.model.operation import Kind, State, Step
from app.operations.background import OnBegin
from app.operations.base import Resolution, WaysOut
from app.operations.queries import OperationView
from app.web.pages import polling
from app.web.pages.blueprint import blueprint
from app.web.pages.form_actions import Refusal, execute, refused
from app.web.pages.form_values import ListFilter, act, list_filter
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.pages.words import kind_words, state_words
from app.web.request_scope import if_unreachable, services


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


@blueprint.route("/operations/<identity>", methods=["GET", "POST"])
def operation(identity: str) -> ResponseReturnValue:
    """One operation: what it does or did, to what, its steps; and a form that resolves it if it is stuck."""
    if request.method != "POST":
        if_unreachable(lambda error: _page(identity, why=error.message))
        return _page(identity)
    if_unreachable(lambda error: _page(identity, refused(error), error.message))
    done = _resolve(identity)
    return _page(identity, done) if isinstance(done, Refusal) else done


@blueprint.route("/operations/<identity>/cancel", methods=["POST"])
def cancel(identity: str) -> ResponseReturnValue:
    """Have an operation undone, and go back."""
    return act(lambda: _cancel(identity))


def _page(identity: str, refusal: Refusal | None = None, why: str | None = None) -> ResponseReturnValue:
    """Show an operation; `why` says, if it is known, why it is not known how it can be resolved."""
    data = PageData()
    view = data.require(("operation", identity), lambda: services().operations.queries.one(identity))
    ways = None
    if not why and "etcd" not in data.problems:
        ways, why = _ways_out(view)
    data.load_gpus()
    data.load_names()
    response = polling.page(
        "operation.html", data=data, view=view, steps=_steps(view), ways=ways, why=why, refusal=refusal
    )
    response.status_code = refusal.status if refusal else response.status_code
    return response


def _ways_out(view: OperationView) -> tuple[WaysOut | None, str | None]:
    """Look at the ways out for an operation that waits for somebody, or why they are not known."""
    resolver = services().operations.resolver
    if "HX-Request" in request.headers or not resolver.waits(view):  # they are not in the part that is asked for again
        return None, None
    try:
        return resolver.ways_out(view.operation.id), None
    except OnAnotherNode:  # it is asked for there
        raise
    except DomainError as exc:
        return None, exc.message


def _resolve(identity: str) -> ResponseReturnValue | Refusal:
    how = request.form.get("how")
    if how not in list(Resolution):
        return Refusal(_("nothing was done: choose how it is to end"))
    operations = services().operations

    def work(on_begin: OnBegin) -> OperationView:
        on_begin(operations.queries.one(identity).operation)
        return operations.resolver.resolve(identity, Resolution(how))

    return execute(work, _resolved, url_for("pages.operation", identity=identity))


def _resolved(view: OperationView) -> str:
    what = {"what": kind_words(view.operation.kind), "name": view.operation.name, "state": state_words(view.state)}
    return _("%(what)s %(name)s is resolved: it is %(state)s", **what)


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

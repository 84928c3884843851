"""`gpudock operation`: list operations, show one, and resolve one that is stuck."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

import click
from flask import current_app
from flask.cli import with_appcontext

from app.bootstrap import Services
from app.errors import DomainError
from app.model.operation import Operation, State
from app.operations.base import Resolution, WaysOut
from app.operations.queries import OperationView
from app.operations.requester import COMMAND, Requester, set_requester

T = TypeVar("T")
_NOT_ENDED = (State.RUNNING, State.STUCK)


@click.group()
def operation() -> None:
    """See what is being done, and resolve what can neither be finished nor undone by itself."""


@operation.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that ended too, the newest first.")
@with_appcontext
def list_(everything: bool) -> None:
    """List the operations that run or are stuck, of all nodes."""
    views = _answered(lambda services: _listed(services, everything))
    click.echo("\n".join(map(_line, views)) if views else "no operation runs, and none is stuck")


@operation.command()
@click.argument("identity", metavar="ID")
@with_appcontext
def show(identity: str) -> None:
    """Show the operation ID: who asked for it, its steps, and if it is stuck, why, and what each way out would do."""
    click.echo("\n".join(_answered(lambda services: list(_shown(services, identity)))))


@operation.command()
@click.argument("identity", metavar="ID")
@click.option("--finish", is_flag=True, help="Finish what it began.")
@click.option("--undo", is_flag=True, help="Undo what it did.")
@click.option("--forget", is_flag=True, help="End it, and leave Docker as it is.")
@click.option("--dry-run", is_flag=True, help="Only print what that would do.")
@with_appcontext
def resolve(identity: str, finish: bool, undo: bool, forget: bool, dry_run: bool) -> None:
    """Bring the operation ID, which is stuck, to its end: give one of --finish, --undo and --forget.

    What that does is printed before it is done.
    """
    chosen = [how for how, given in zip(Resolution, (finish, undo, forget), strict=True) if given]
    if len(chosen) != 1:
        raise click.UsageError("give one of --finish, --undo and --forget; `gpudock operation show ID` tells of each")
    (how,) = chosen
    effects = _answered(lambda services: services.operations.resolver.effects(identity, how))
    click.echo("\n".join([f"{how} would do this:" if dry_run else f"{how}:", *(f"  {effect}" for effect in effects)]))
    if not dry_run:
        view = _answered(lambda services: services.operations.resolver.resolve(identity, how))
        click.echo(f"the operation is {view.state}")


def _listed(services: Services, everything: bool) -> list[OperationView]:
    queries = services.operations.queries
    if everything:
        return list(queries.all().operations)
    return [view for state in _NOT_ENDED for view in queries.all(state=state).operations]


def _shown(services: Services, identity: str) -> Iterator[str]:
    view = services.operations.queries.one(identity)
    record = view.operation
    yield _line(view)
    yield f"  node     {record.node}"
    yield f"  asked by {_requester(record)}"
    yield f"  claimed  {record.started}"
    yield from (f"  {step:8} {reached}" for step, reached in record.steps)
    if view.ended:
        yield f"  ended    {view.ended}"
    if services.operations.resolver.waits(view):
        yield from _ways_out(services, identity)


def _ways_out(services: Services, identity: str) -> Iterator[str]:
    try:
        ways = services.operations.resolver.ways_out(identity)
    except DomainError as exc:  # it is another node's, or Docker is down
        yield f"how it can be resolved is not known here: {exc.message}"
    else:
        yield from _told(ways, identity)


def _told(ways: WaysOut, identity: str) -> Iterator[str]:
    for how, way in ways.items():
        if way.refusal:
            yield f"--{how} is not possible: {way.refusal}"
        else:
            yield f"gpudock operation resolve {identity} --{how}"
            yield from (f"  {effect}" for effect in way.effects)


def _line(view: OperationView) -> str:
    """Tell an operation in one line: id, state, kind, what it is on, its step if it has not ended, and why."""
    record = view.operation
    resource = record.resource.removesuffix("s")
    parts = [record.id, view.state, f"{record.kind} of {resource} {record.name}"]
    if view.state in _NOT_ENDED:
        parts.append(f"at step {record.step}")
    return f"{'  '.join(parts)}: {view.error}" if view.error else "  ".join(parts)


def _requester(record: Operation) -> str:
    words: Iterable[str | None] = (record.who, record.by, record.request and f"request {record.request}")
    return ", ".join(word for word in words if word) or "unknown"


def _answered(work: Callable[[Services], T]) -> T:
    set_requester(Requester(COMMAND))
    try:
        return work(cast(Services, current_app.extensions["gpudock"]))
    except DomainError as exc:
        raise click.ClickException(f"{exc.message} (error {exc.code})") from exc

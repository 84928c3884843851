"""`gpudock reconcile`: makes Docker what etcd says it should be, and answers other nodes for this one."""

import signal
from typing import Any, cast

import click
from flask import current_app
from flask.cli import with_appcontext

from app.bootstrap import Services
from app.cli import adopt
from app.cli.restored_state import accept_restored_state
from app.errors import DomainError
from app.web.agent_server import Agent


@click.command()
@click.option("--once", is_flag=True, help="One pass, then end.")
@click.option("--dry-run", is_flag=True, help="Only print what a pass would do, and why.")
@click.option("--adopt", "name", help="Take in the container of that name, as `gpudock adopt container` does.")
@click.option("--accept-restored-state", "accept", is_flag=True, help="As `gpudock accept-restored-state`.")
@click.pass_context
@with_appcontext
def reconcile(context: click.Context, once: bool, dry_run: bool, name: str | None, accept: bool) -> None:
    """Settle what dead processes left, start what should run, free what nobody holds; for ever, every few seconds."""
    if name:
        return cast(None, context.invoke(adopt.container, name=name, family=None))
    if accept:
        return cast(None, context.invoke(accept_restored_state, dry_run=False))
    services = cast(Services, current_app.extensions["gpudock"])
    reconciler = services.agent.reconciler
    try:
        if dry_run:
            return _print(map(str, reconciler.rehearse()))
        if once:
            return _print(map(str, reconciler.once()))
    except DomainError as exc:
        raise click.ClickException(exc.message) from exc
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: reconciler.stop())
    agent = Agent(cast(Any, current_app)._get_current_object(), services.config)
    services.gpu.sampler.start()  # other nodes show the charts of this one's GPUs
    reconciler.run(agent.start)
    return agent.stop()


def _print(lines: object) -> None:
    found = list(cast("list[str]", lines))
    click.echo("\n".join(found) if found else "nothing to do")

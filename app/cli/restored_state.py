"""An etcd that is older than Docker: for `gpudock doctor`, and `gpudock accept-restored-state` for who has looked."""

from typing import cast

import click
from flask import current_app
from flask.cli import with_appcontext

from app.bootstrap import Services, build_backends, build_services
from app.config import Config
from app.errors import DomainError, RestoreUnfinished, StateUnexplained
from app.model.findings import Finding, fail, ok, warning
from app.state.guard import DockerObject, StateGuard


@click.command("accept-restored-state")
@click.option("--dry-run", is_flag=True, help="Only print what would be accepted.")
@with_appcontext
def accept_restored_state(dry_run: bool) -> None:
    """Print what Docker has that etcd, restored or lost, does not explain, and let gpudock go on beside it."""
    guard = cast(Services, current_app.extensions["gpudock"]).continuity
    try:
        found = guard.unexplained() if dry_run else guard.accept()
    except DomainError as exc:
        raise click.ClickException(f"{exc.message} (error {exc.code})") from exc
    click.echo("\n".join(_lines(found, dry_run)))


def examine_state(config: Config) -> Finding:
    """Check that etcd explains what Docker has on this node."""
    return _examine(build_services(config, build_backends(config)).continuity)


def _examine(guard: StateGuard) -> Finding:
    try:
        guard.check()
    except (StateUnexplained, RestoreUnfinished) as exc:
        found, _, advice = exc.message.partition("; ")
        return fail("state", f"{found}: nothing is changed", advice)
    except DomainError as exc:
        return warning("state", f"not compared: {exc.message.partition(';')[0]}", "see to that part first")
    return ok("state", "etcd explains what gpudock made in Docker")


def _lines(found: list[DockerObject], dry_run: bool) -> list[str]:
    if not found:
        return ["etcd explains everything that Docker has on this node; there is nothing to accept"]
    lines = [f"{made}: {_meaning(made)}" for made in found]
    if dry_run:
        return [*lines, "nothing was accepted: end or remove what shall not stay, then run it without --dry-run"]
    return [*lines, "accepted: changes are possible again"]


def _meaning(made: DockerObject) -> str:
    if made.unsettled:
        return (
            "its operation ran when the backup was made; it is undone, which REMOVES this with its data, as soon as "
            "this is accepted"
        )
    return f"made later than etcd's state; it is left alone, and its name is taken. {_way_out(made)}"


def _way_out(made: DockerObject) -> str:
    if made.kind == "volume":
        return f"Remove it with: docker volume rm {made.name}"
    return f"It may use GPUs that are given away again. Remove it with: docker rm -f {made.name}"

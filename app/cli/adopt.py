"""`gpudock adopt`: take in what somebody made with Docker itself."""

from collections.abc import Callable
from typing import TypeVar, cast

import click
from flask import current_app
from flask.cli import with_appcontext

from app.bootstrap import Services
from app.errors import DomainError
from app.operations.requester import COMMAND, Requester, set_requester

T = TypeVar("T")


@click.group()
def adopt() -> None:
    """Take in a container or volume that somebody made with docker; the old one is kept."""


@adopt.command()
@click.argument("name")
@click.option("--as", "family", help="The family to make of it; by default it is called as the container.")
@with_appcontext
def container(name: str, family: str | None) -> None:
    """Stop the container NAME and let a version 0 go on with its files, environment, ports, mounts and GPUs."""
    made = _adopt(lambda services: services.containers.adopt(name, family))
    click.echo(f"{name} goes on as {made.name} ({made.id[:12]}); the old one is stopped and kept")


@adopt.command()
@click.argument("name")
@click.option("--size", required=True, help="The size that the volume shall have, like 20GB.")
@click.option("--as", "family", help="The family to make of it; by default it is called as the volume.")
@with_appcontext
def volume(name: str, size: str, family: str | None) -> None:
    """Copy what is in the volume NAME, which no running container uses, into a version 0 of that size."""
    record = _adopt(lambda services: services.volumes.adopt(name, family, size)).record
    unlimited = "" if record.enforced else "; nothing enforces its size here"
    click.echo(f"{record.name} ({record.size}) holds what {name} holds; the old one is kept{unlimited}")


def _adopt(work: Callable[[Services], T]) -> T:
    set_requester(Requester(COMMAND))
    try:
        return work(cast(Services, current_app.extensions["gpudock"]))
    except DomainError as exc:
        raise click.ClickException(f"{exc.message} (error {exc.code})") from exc

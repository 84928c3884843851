"""gpudock's own commands, of `gpudock` and of `flask`: one module for each."""

from collections.abc import Callable

import click
from flask import Flask
from flask.cli import ScriptInfo

from app.cli.adopt import adopt
from app.cli.backup import backup, restore
from app.cli.doctor import doctor
from app.cli.operation import operation
from app.cli.reconcile import reconcile
from app.cli.restored_state import accept_restored_state
from app.cli.serve import serve
from app.config import ConfigError
from app.model.version import VERSION

COMMANDS: tuple[click.Command, ...] = (
    accept_restored_state,
    adopt,
    backup,
    doctor,
    operation,
    reconcile,
    restore,
    serve,
)


def init_app(app: Flask) -> None:
    """Make the commands known to `flask`."""
    for command in COMMANDS:
        app.cli.add_command(command)


def build_group(create_app: Callable[[], Flask]) -> click.Group:
    """Build the command `gpudock`, whose commands run in the application that `create_app` makes when one needs it.

    Not Flask's own group: that makes the application first, which a bad setting prevents, even for doctor and --help,
    and it reads settings from whatever `.env` lies in the caller's directory.
    """

    def load() -> Flask:
        try:
            return create_app()
        except ConfigError as exc:
            raise click.ClickException(str(exc)) from exc

    @click.group(commands=COMMANDS)
    @click.version_option(VERSION, prog_name="gpudock")
    @click.pass_context
    def gpudock(context: click.Context) -> None:
        """The control plane of a GPU server. Settings are environment variables: see README.md."""
        context.obj = ScriptInfo(create_app=load)

    return gpudock

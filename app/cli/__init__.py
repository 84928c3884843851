"""gpudock's own commands, of `gpudock` and of `flask`: one module for each."""

from flask import Flask

from app.cli.adopt import adopt
from app.cli.backup import backup, restore
from app.cli.doctor import doctor
from app.cli.reconcile import reconcile
from app.cli.restored_state import accept_restored_state


def init_app(app: Flask) -> None:
    """Make the commands known to `flask`."""
    for command in (accept_restored_state, adopt, backup, doctor, reconcile, restore):
        app.cli.add_command(command)

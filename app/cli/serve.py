"""`gpudock serve`: the web service."""

import os
import sys
from pathlib import Path

import click

_APP = Path(__file__).parents[1]


@click.command()
def serve() -> None:
    """Serve the pages and the API by gunicorn, at GPUDOCK_BIND; what else gunicorn shall do says GUNICORN_CMD_ARGS."""
    # By --chdir and -P the program is this one, whatever lies in the caller's directory.
    gunicorn = [sys.executable, "-P", "-m", "gunicorn", "--config", str(_APP / "gunicorn.conf.py")]
    os.execv(sys.executable, [*gunicorn, "--chdir", str(_APP.parent), "app:create_app()"])

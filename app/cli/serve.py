"""`gpudock serve`: the web service."""

import os
import sys
from pathlib import Path

import click

_APP = Path(__file__).parents[1]


@click.command()
def serve() -> None:
    """Serve the pages and the API by gunicorn, at GPUDOCK_BIND; what else gunicorn shall do says GUNICORN_CMD_ARGS."""
    # gunicorn imports first from where it is begun, and what lies in the caller's directory is not this program.
    os.chdir(_APP.parent)
    gunicorn = [sys.executable, "-P", "-m", "gunicorn", "--config", str(_APP / "gunicorn.conf.py")]
    os.execv(sys.executable, [*gunicorn, "app:create_app()"])

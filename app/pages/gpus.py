"""The buttons that take a GPU out of service and return it."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.pages.asked import act
from app.services.gpus import GpuView
from app.web import services


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/gpus/<uuid>/drain", "drain_gpu", drain, methods=["POST"])
    blueprint.add_url_rule("/gpus/<uuid>/return", "return_gpu", give_back, methods=["POST"])


def drain(uuid: str) -> ResponseReturnValue:
    """Have a GPU given out no more, and go back."""
    return act(lambda: _drained(services().gpus.schedule(uuid, False)[0]))


def give_back(uuid: str) -> ResponseReturnValue:
    """Have a GPU given out again, and go back."""
    return act(lambda: _returned(services().gpus.schedule(uuid, True)[0]))


def _drained(view: GpuView) -> str:
    words = f"GPU {view.gpu.index} is out of service"
    return f"{words}; {view.holder.family} keeps it until it is changed or stopped" if view.holder else words


def _returned(view: GpuView) -> str:
    words = f"GPU {view.gpu.index} is in service again"
    return f"{words}, but not given out as long as it is as it is: {view.gpu.fault}" if view.gpu.fault else words

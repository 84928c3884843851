"""The first page and the two lists: GPUs and containers."""

from flask import Blueprint, render_template

from app.pages.asked import Wanted, wanted
from app.pages.seen import Seen
from app.services.inquiry import STATES


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/", view_func=index)
    blueprint.add_url_rule("/gpus", view_func=gpus)
    blueprint.add_url_rule("/containers", view_func=containers)


def index() -> str:
    """Everything at a glance."""
    seen = Seen()
    seen.see_gpus()
    seen.see_containers(Wanted())
    return render_template("index.html", seen=seen)


def gpus() -> str:
    """The GPUs with every reading."""
    seen = Seen()
    seen.see_gpus()
    return render_template("gpus.html", seen=seen)


def containers() -> str:
    """The containers whose name contains `name` and that are in `state`, those after the family `after`."""
    asked = wanted(STATES)
    seen = Seen()
    seen.see_gpus()
    seen.see_containers(asked)
    return render_template("containers.html", seen=seen, states=STATES, wanted=asked)

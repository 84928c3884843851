"""The first page and the two lists: GPUs and containers."""

from flask import Blueprint, render_template, request

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
    seen.see_containers()
    return render_template("index.html", seen=seen)


def gpus() -> str:
    """The GPUs with every reading."""
    seen = Seen()
    seen.see_gpus()
    return render_template("gpus.html", seen=seen)


def containers() -> str:
    """The containers whose name contains `name` and that are in `state`, those after the family `after`."""
    state, name, after = (request.args.get(key, "").strip() or None for key in ("state", "name", "after"))
    state = state if state in STATES else None
    seen = Seen()
    seen.see_gpus()
    seen.see_containers(state, name, after)
    return render_template("containers.html", seen=seen, states=STATES, state=state, name=name, after=after)

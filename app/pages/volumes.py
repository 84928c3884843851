"""The list of volumes, and one volume: its settings, its versions, and the button to go back to an older one."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from app.domain.naming import VOLUME, Name, parse
from app.domain.volumes import VolumeRecord
from app.pages.asked import act, wanted
from app.pages.seen import Seen
from app.services.volumes.inquiry import STATES
from app.web import services


def register(blueprint: Blueprint) -> None:
    """Add the routes of this module."""
    blueprint.add_url_rule("/volumes", view_func=volumes)
    blueprint.add_url_rule("/volumes/<name>", view_func=volume)
    blueprint.add_url_rule("/volumes/<name>/rollback", "roll_volume_back", rollback, methods=["POST"])


def volumes() -> str:
    """The volumes whose name contains `name` and that are in `state`, those after the family `after`."""
    asked = wanted(STATES)
    seen = Seen()
    seen.see_volumes(asked)
    seen.see_names()
    return render_template("volumes.html", seen=seen, states=STATES, wanted=asked)


def volume(name: str) -> str:
    """The version `name` of a volume, and the list of all its versions."""
    asked = parse(name, VOLUME)
    seen = Seen()
    view = seen.see_volume(asked)
    seen.see_names()
    shown = next(v for v in view.versions if asked.version in (None, v.record.version))
    return render_template("volume.html", view=view, shown=shown, merging=_merging(shown.record), seen=seen)


def rollback(name: str) -> ResponseReturnValue:
    """Make the next version of a volume from the older one `name`, and go back."""
    return act(lambda: _roll_back(parse(name, VOLUME)))


def _roll_back(asked: Name) -> str:
    origin = services().volumes.records.version(asked)
    made = services().volumes.resizer.rollback(Name(asked.family), origin.version)
    return f"{made.record.name} holds what {origin.name} holds"


def _merging(record: VolumeRecord) -> bool:
    """Whether its parent's data is on the way into it right now."""
    return record.merging is not None and any(o.id == record.merging for o in services().journal.all_running())

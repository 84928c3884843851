"""Give a volume another size, or go back to what an older version holds: shown before and after first, then done."""

from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.errors import InvalidRequest
from app.model.names import VOLUME, Name, parse
from app.model.sizes import parse_size
from app.operations.base import Request
from app.volumes.resize import ResizeVolume
from app.volumes.rollback import RollBackVolume
from app.volumes.transactions import VolumeResult
from app.web.pages.blueprint import blueprint
from app.web.pages.form_actions import Context, Refusal, answer, page
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.pages.volumes.detail import version_of
from app.web.request_scope import services


@blueprint.route("/volumes/<name>/resize", methods=["GET", "POST"])
def resize_volume(name: str) -> ResponseReturnValue:
    """Ask for a size, show what that would change, and do it."""
    target, template = parse(name, VOLUME), "volume_resize.html"
    text = request.values.get("size", "").strip()
    try:
        size = parse_size(text) if text else None
    except InvalidRequest as exc:
        wrong = Refusal(exc.message)
        return page(template, lambda: {**_subject(target), "typed": text, "size": None, "preview": None}, wrong)
    if size is None:
        return page(template, lambda: {**_subject(target), "typed": text, "size": None, "preview": None}, None)

    def describe(made: VolumeResult) -> str:
        return _("%(name)s has %(size)s", name=made.record.name, size=made.record.size)

    change = ResizeVolume(target, text)
    context = _before_and_after(target, change, typed=text, size=size)
    return answer(template, context, change, describe, url_for("pages.volume", name=target.family))


@blueprint.route("/volumes/<name>/rollback", methods=["GET", "POST"])
def roll_volume_back(name: str) -> ResponseReturnValue:
    """Show what going back to the older version `name` would change, and do it."""
    target = parse(name, VOLUME)
    origin = services().volumes.records.version(target)

    def describe(made: VolumeResult) -> str:
        return _("%(name)s holds what %(origin)s holds", name=made.record.name, origin=origin.name)

    change = RollBackVolume(Name(target.family), origin.version)
    context = _before_and_after(target, change)
    return answer("volume_rollback.html", context, change, describe, url_for("pages.volume", name=target.family))


def _before_and_after(target: Name, change: Request[VolumeResult], **more: Any) -> Context:
    return lambda: {**_subject(target), **more, "preview": services().operations.preview(change)}


def _subject(target: Name) -> dict[str, Any]:
    data = PageData()
    view = data.load_volume(target)
    data.load_names()
    return {"data": data, "view": view, "shown": version_of(view, target)}

"""Delete a volume: its name must be typed, and which data goes is said before."""

from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.model.names import VOLUME, Name, parse
from app.operations.background import OnBegin, Work
from app.volumes.delete import DeleteVolume
from app.volumes.queries import VolumeVersionView, VolumeView
from app.web.pages.blueprint import blueprint
from app.web.pages.delete_form import EVERYTHING, KEEP, wrong
from app.web.pages.form_actions import Refusal, answer, page
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.pages.volumes.detail import version_of
from app.web.request_scope import services


@blueprint.route("/volumes/<name>/delete", methods=["GET", "POST"])
def delete_volume(name: str) -> ResponseReturnValue:
    """Ask for the name, then delete that version of a volume."""
    target = parse(name, VOLUME)
    data = PageData()
    view = data.load_volume(target)
    data.load_names()
    shown = version_of(view, target)
    scope, force = request.form.get("scope", ""), "force" in request.form

    def context() -> dict[str, Any]:
        return {
            "data": data,
            **_context(view, shown),
            "scope": scope,
            "force": force,
            "typed": request.form.get("typed", ""),
        }

    if request.method == "POST" and (refusal := _wrong(view, shown)):
        return page("volume_delete.html", context, refusal)
    gone = shown.record.version == view.newest.record.version and scope != KEEP
    back = url_for("pages.volumes") if gone else url_for("pages.volume", name=target.family)
    work = _deletion(view, shown, scope, force)
    return answer("volume_delete.html", context, work, lambda _made: _describe(shown, scope), back)


def _wrong(view: VolumeView, shown: VolumeVersionView) -> Refusal | None:
    """Check the form, and whether all can go; None if nothing is wrong."""
    newest = shown.record.version == view.newest.record.version
    if refusal := wrong(shown.record.name, newest):
        return refusal
    if request.form["scope"] == EVERYTHING and (running := _running_on(view)):
        return Refusal(
            _("nothing was deleted: %(names)s run on it; stop or move those first", names=", ".join(running))
        )
    return None


def _running_on(view: VolumeView) -> list[str]:
    return sorted({mount.container for version in view.versions for mount in version.mounts if mount.running})


def _deletion(view: VolumeView, shown: VolumeVersionView, scope: str, force: bool) -> Work[None]:
    """The work: of `everything` the newest version first, since that one may be refused."""
    runner, record = services().operations.runner, shown.record
    older = [v.record for v in view.versions if v is not shown and v.state == "present"]

    def work(on_begin: OnBegin) -> None:
        runner.run(DeleteVolume(Name(record.family, record.version), force, scope != KEEP), on_begin)
        for each in older if scope == EVERYTHING else ():
            runner.run(DeleteVolume(Name(each.family, each.version), force, True))

    return work


def _context(view: VolumeView, shown: VolumeVersionView) -> dict[str, Any]:
    target = Name(shown.record.family, shown.record.version)
    return {
        "view": view,
        "shown": shown,
        "newest": shown.record.version == view.newest.record.version,
        "older": [version for version in view.versions if version.record.version != view.newest.record.version],
        "preview": services().operations.preview(DeleteVolume(target, True, True)),
    }


def _describe(shown: VolumeVersionView, scope: str) -> str:
    record = shown.record
    if scope == KEEP:
        return _("%(name)s is deleted; its data and its record are kept", name=record.name)
    if scope == EVERYTHING:
        return _("%(family)s is deleted with all its versions and their data", family=record.family)
    return _("%(name)s is deleted with its data", name=record.name)

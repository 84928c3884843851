"""Delete a container: its name must be typed, and which data goes is said before."""

from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.containers.delete import DeleteContainer
from app.containers.queries import ContainerView, VersionView
from app.model.names import Name, parse
from app.operations.background import OnBegin, Work
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.detail import version_of
from app.web.pages.delete_form import EVERYTHING, KEEP, wrong
from app.web.pages.form_actions import answer, page
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import services

# How long, in seconds, the page waits for the sizes of layers that are not known yet.
_PATIENCE = 1.0


@blueprint.route("/containers/<name>/delete", methods=["GET", "POST"])
def delete_container(name: str) -> ResponseReturnValue:
    """Ask for the name, then delete that version of a container."""
    target = parse(name)
    data = PageData()
    view = data.load_container(target)
    data.load_gpus()
    shown = version_of(view, target)
    scope = request.form.get("scope", "")
    work = _deletion(view, shown, scope)

    def context() -> dict[str, Any]:
        return {**_context(data, view, shown), "scope": scope, "typed": request.form.get("typed", "")}

    newest = shown.record.version == view.newest.version
    if request.method == "POST" and (refusal := wrong(shown.record.name, newest)):
        return page("container_delete.html", context, refusal)
    gone = newest and scope != KEEP
    back = url_for("pages.containers") if gone else url_for("pages.container", name=target.family)
    return answer("container_delete.html", context, work, lambda _made: _describe(shown, scope), back)


def _deletion(view: ContainerView, shown: VersionView, scope: str) -> Work[None]:
    """The work: of `everything` the newest version first, since that one may be refused."""
    runner, record = services().operations.runner, shown.record
    older = [v.record for v in view.versions if v is not shown and v.state not in ("missing", "removed")]

    def work(on_begin: OnBegin) -> None:
        first = DeleteContainer(Name(record.family, record.version), force=True, erase=scope != KEEP)
        runner.run(first, on_begin)
        for each in older if scope == EVERYTHING else ():
            runner.run(DeleteContainer(Name(each.family, each.version), force=True, erase=True))

    return work


def _context(data: PageData, view: ContainerView, shown: VersionView) -> dict[str, Any]:
    target = Name(shown.record.family, shown.record.version)
    records = [version.record for version in view.versions if version.state != "missing"]
    return {
        "data": data,
        "view": view,
        "shown": shown,
        "newest": shown.record.version == view.newest.version,
        "older": [version for version in view.versions if version.record.version != view.newest.version],
        "sizes": services().containers.layer_sizes.of(records, _PATIENCE),
        "preview": services().operations.preview(DeleteContainer(target, force=True, erase=False)),
    }


def _describe(shown: VersionView, scope: str) -> str:
    record = shown.record
    if scope == KEEP:
        return _("%(name)s is deleted; its files and its record are kept", name=record.name)
    if scope == EVERYTHING:
        return _("%(family)s is deleted with all its versions", family=record.family)
    return _("%(name)s is deleted, and its record with it", name=record.name)

"""One volume: a version with its settings, and the chain of all its versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Response

from app.model.names import VOLUME, Name, parse
from app.model.volume import VolumeRecord
from app.state.keys import VOLUMES
from app.volumes.queries import VolumeVersionView, VolumeView
from app.web.pages import polling
from app.web.pages.activity import activity
from app.web.pages.blueprint import blueprint
from app.web.pages.page_data import PageData
from app.web.request_scope import services


@dataclass(frozen=True)
class TimelineEntry:
    """One version in the chain, and the size of the one before it (None for the first that is left)."""

    version: VolumeVersionView
    size_before: str | None
    here: bool
    newest: bool


@blueprint.route("/volumes/<name>")
def volume(name: str) -> Response:
    """The version `name` of a volume, and the chain of all its versions."""
    return polling.page("volume.html", **context(parse(name, VOLUME)))


def context(name: Name) -> dict[str, Any]:
    """Everything that the page of a volume shows."""
    data = PageData()
    view = data.load_volume(name, even_old=True)
    data.load_names()
    shown = version_of(view, name)
    history = activity(data, VOLUMES, name.family, view.family.created)
    return {
        "data": data,
        "view": view,
        "shown": shown,
        "newest": shown.record.version == view.newest.record.version,
        "merging": _merging(data, shown.record),
        "activity": history,
        "actions": legal(view, shown) if not history.busy and not data.problems else (),
        "steps": steps(view.versions, shown),
    }


def version_of(view: VolumeView, name: Name) -> VolumeVersionView:
    """The version that a name means: its own, or the newest."""
    return next(version for version in view.versions if name.version in (None, version.record.version))


def legal(view: VolumeView, shown: VolumeVersionView) -> tuple[str, ...]:
    """Return the actions that are possible with the version `shown` as it is."""
    record = shown.record
    if shown.state == "unreachable":
        return ()
    if record.version != view.newest.record.version:
        return ("rollback", "delete") if shown.state == "present" and not record.merging else ("delete",)
    can_resize = (shown.state == "present" or bool(record.aside)) and not record.merging
    return ("resize", "delete") if can_resize else ("delete",)


def steps(versions: Sequence[VolumeVersionView], shown: VolumeVersionView) -> list[TimelineEntry]:
    """The chain of these versions (newest first), newest first."""
    before = [*(version.record.size for version in versions[1:]), None]
    return [
        TimelineEntry(version, size, version is shown, version is versions[0])
        for version, size in zip(versions, before, strict=True)
    ]


def _merging(data: PageData, record: VolumeRecord) -> bool:
    """Tell whether the parent's data is on the way into the version right now."""
    if record.merging is None:
        return False
    running = data.fetch(
        ("merging", record.name),
        lambda: [each.id for each in services().operations.resolver.reader.operations.all_running()],
    )
    return record.merging in (running or ())

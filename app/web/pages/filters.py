"""Template filters: the looks of values on a page."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from app.gpus.queries import GpuView
from app.model import sizes
from app.model.operation import now
from app.web import auth
from app.web.pages.blueprint import blueprint
from app.web.pages.localize import localize
from app.web.pages.page_texts import _

# What a terminal would obey: colours, cursor movements, window titles.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@blueprint.app_context_processor
def login_needed() -> dict[str, bool]:
    """Tell every template whether callers must know a token."""
    return {"login_needed": auth.login_needed()}


@blueprint.app_template_filter()
def gib(size: int | None) -> str:
    """A number of bytes in GiB, with one decimal below 10."""
    if size is None:
        return "–"
    amount = size / (1 << 30)
    return f"{amount:.0f}" if amount >= 10 or size == 0 else f"{amount:.1f}"


@blueprint.app_template_filter()
def human(size: int) -> str:
    """A number of bytes with a unit."""
    return localize(sizes.human(size))


@blueprint.app_template_filter()
def moment(text: str) -> str:
    """Cut a recorded time to the second and its zone, which is always UTC; a record may hold no time there."""
    time = _time(text)
    return time.strftime("%Y-%m-%d %H:%M:%S") if time else text[:40] or "–"


@blueprint.app_template_filter()
def lasted(started: str, ended: str | None) -> str:
    """Tell how long it took from one recorded time to another, or took so far."""
    begin, end = _time(started), _time(ended or now())
    if begin is None or end is None:
        return "–"
    return span(max(0.0, (end - begin).total_seconds()))  # another node's clock may be ahead


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@blueprint.app_template_filter()
def span(seconds: float) -> str:
    """A number of seconds for people."""
    if seconds < 9.95:
        return _("%(seconds)s s", seconds=f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return _("%(hours)s h %(minutes)s min", hours=minutes // 60, minutes=minutes % 60)
    if minutes:
        return _("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=rest)
    return _("%(seconds)s s", seconds=rest)


@blueprint.app_template_filter()
def by_index(uuids: Iterable[str], indexes: Mapping[str, int]) -> list[str]:
    """GPUs in the order of their indexes, those without a known one last."""
    return sorted(uuids, key=lambda uuid: (indexes.get(uuid, len(indexes)), uuid))


@blueprint.app_template_filter()
def short_uuid(uuid: str) -> str:
    """A UUID without its middle."""
    return uuid if len(uuid) <= 16 else f"{uuid[:8]}…{uuid[-4:]}"


@blueprint.app_template_filter()
def gpu_state(view: GpuView) -> str:
    """One of unreachable, unhealthy, drained, used, foreign, free."""
    if view.silence:
        return "unreachable"
    if view.fault:
        return "unhealthy"
    if not view.schedulable:
        return "drained"
    if view.holder:
        return "used"
    return "free" if view.free else "foreign"


@blueprint.app_template_filter()
def gpu_word(view: GpuView) -> str:
    """The same, but one that is drained and still held is draining."""
    state = gpu_state(view)
    return "draining" if state == "drained" and view.holder else state


@blueprint.app_template_filter()
def plain(text: str) -> str:
    """Terminal output without the sequences that only a terminal understands."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))

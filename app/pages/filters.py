"""How values look on a page."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from flask import Blueprint

from app import auth
from app.domain.operations import now
from app.domain.sizes import human
from app.domain.volumes import LOOP, NONE, QUOTA
from app.services.gpus import GpuView

# What a terminal would obey: colours, cursor movements, window titles.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_KINDS = {"gpu": "GPU change", "volume": "volume change", "commit": "commit to an image"}
_WAYS = {QUOTA: "by project quota", LOOP: "by own filesystem", NONE: "not enforced"}


def register(blueprint: Blueprint) -> None:
    """Make the functions of this module known to every template."""
    for filter_ in (gib, human, moment, lasted, by_index, gpu_state, gpu_word, kind_words, way_words, plain):
        blueprint.add_app_template_filter(filter_)
    blueprint.app_context_processor(lambda: {"login_needed": auth.login_needed()})


def gib(size: int | None) -> str:
    """A number of bytes in GiB, with one decimal below 10."""
    if size is None:
        return "–"
    amount = size / (1 << 30)
    return f"{amount:.0f}" if amount >= 10 or size == 0 else f"{amount:.1f}"


def moment(text: str) -> str:
    """A recorded time to the second, without its zone, which is always UTC."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")


def lasted(started: str, ended: str | None) -> str:
    """How long it took from one recorded time to another, or took so far."""
    span = datetime.fromisoformat(ended or now()) - datetime.fromisoformat(started)
    seconds = max(0.0, span.total_seconds())  # another node's clock may be ahead
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def kind_words(kind: str) -> str:
    """What an operation does, or why a version was made, for people."""
    return _KINDS.get(kind, kind)


def way_words(way: str) -> str:
    """How a volume's size is enforced, for people."""
    return _WAYS.get(way, way)


def by_index(uuids: Iterable[str], indexes: Mapping[str, int]) -> list[str]:
    """GPUs in the order of their indexes, those without a known one last."""
    return sorted(uuids, key=lambda uuid: (indexes.get(uuid, len(indexes)), uuid))


def gpu_state(view: GpuView) -> str:
    """One of unhealthy, drained, used, foreign, free."""
    if view.fault:
        return "unhealthy"
    if not view.schedulable:
        return "drained"
    if view.holder:
        return "used"
    return "free" if view.free else "foreign"


def gpu_word(view: GpuView) -> str:
    """The same for people. One that is drained and still held is not empty yet."""
    state = gpu_state(view)
    if state == "drained" and view.holder:
        return "draining"
    return {"used": "in use", "foreign": "in use by others"}.get(state, state)


def plain(text: str) -> str:
    """Terminal output without the sequences that only a terminal understands."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))

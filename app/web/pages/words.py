"""Recorded words in the language of the page's reader."""

from typing import Any

from flask_babel import lazy_gettext as _l

from app.model.operation import Kind, Operation, Step
from app.model.volume import LOOP, NONE, QUOTA
from app.web.pages.blueprint import blueprint
from app.web.pages.page_texts import _

_KINDS: dict[str, Any] = {
    Kind.CREATE: _l("create"),
    Kind.GPU: _l("GPU change"),
    Kind.VOLUME: _l("volume change"),
    Kind.RESIZE: _l("resize"),
    Kind.ROLLBACK: _l("rollback"),
    Kind.RESTART: _l("restart"),
    Kind.START: _l("start"),
    Kind.STOP: _l("stop"),
    Kind.DELETE: _l("delete"),
    Kind.COMMIT: _l("commit to an image"),
    Kind.ADOPT: _l("adoption"),
    Kind.PULL: _l("pull"),
    Kind.RESUME: _l("start of what should run"),
    Kind.STOP_STRAY: _l("stop of a stray container"),
    Kind.REMOVE_STRAY: _l("removal of a stray"),
    Kind.RELEASE: _l("release of a claim"),
    Kind.DISCARD: _l("discarding of leftovers"),
}
_WAYS = {QUOTA: _l("by project quota"), LOOP: _l("by own filesystem"), NONE: _l("not enforced")}
_CHANNELS = {
    "api": _l("the API"),
    "page": _l("these pages"),
    "command": _l("a command on the host"),
    "gpudock": _l("gpudock itself"),
}
_STEPS: dict[str, Any] = {
    Step.CLAIMED: _l("claimed"),
    Step.CREATING: _l("creating"),
    Step.COPYING: _l("copying"),
    Step.STARTING: _l("starting"),
    Step.STOPPING: _l("stopping"),
    Step.REMOVING: _l("removing"),
    Step.SETTING_ASIDE: _l("setting aside"),
    Step.SETTLING: _l("settling"),
    Step.UNDOING: _l("undoing"),
    Step.ASKING_REGISTRY: _l("asking the registry"),
    Step.LOADING: _l("loading"),
    Step.UNPACKING: _l("unpacking"),
}
_STATES = {
    # of GPUs
    "free": _l("free"),
    "used": _l("in use"),
    "foreign": _l("in use by others"),
    "unhealthy": _l("unhealthy"),
    "drained": _l("drained"),
    "draining": _l("draining"),
    # of containers and volumes
    "running": _l("running"),
    "paused": _l("paused"),
    "restarting": _l("restarting"),
    "created": _l("created"),
    "exited": _l("exited"),
    "stopped": _l("stopped"),
    "dead": _l("dead"),
    "removed": _l("removed"),
    "missing": _l("missing"),
    "present": _l("present"),
    "incomplete": _l("incomplete"),
    "remote": _l("remote"),
    "unreachable": _l("unreachable"),
    "unreadable": _l("unreadable"),
    "unknown": _l("unknown"),
    # what needs attention
    "renamed": _l("renamed"),
    "started": _l("started by hand"),
    "older-running": _l("older version runs"),
    "volume-missing": _l("volume missing"),
    "volume-incomplete": _l("volume incomplete"),
    "gpu-lost": _l("GPU lost"),
    "gpu-unhealthy": _l("GPU unhealthy"),
    "gpu-lost-inside": _l("GPU lost inside"),
    "leftover": _l("left over"),
    "data-gone": _l("data gone"),
    "unenforced": _l("size not enforced"),
    "foreign-mount": _l("mounted by others"),
    "failed": _l("failed"),
    "low": _l("disk nearly full"),
    # of operations
    "stuck": _l("stuck"),
    "done": _l("done"),
    "undone": _l("undone"),
    # of images
    "unused": _l("unused"),
}

_STATUS = {
    400: _l("Bad request"),
    401: _l("Not logged in"),
    403: _l("Forbidden"),
    404: _l("Not found"),
    405: _l("Not possible here"),
    409: _l("Conflict"),
    413: _l("Too large"),
    422: _l("Not possible like this"),
    500: _l("Failed"),
    503: _l("Not available now"),
}
# What services put into their texts.
_RECORDED = {**_STATES, **_KINDS}


def meaning(word: str) -> str | None:
    """Return the meaning of the recorded word for a kind of operation or a state, None if it is no such word."""
    found = _RECORDED.get(word)
    return None if found is None else str(found)


@blueprint.app_template_filter()
def kind_words(kind: str) -> str:
    """Return the kind of an operation, or of the one that made a version, for people."""
    return str(_KINDS.get(kind, kind))


@blueprint.app_template_filter()
def state_words(state: str) -> str:
    """A state of anything, for people."""
    return str(_STATES.get(state, state))


@blueprint.app_template_filter()
def requester_words(operation: Operation) -> str:
    """Return the one who asked for an operation, and the channel, for people."""
    by = str(_CHANNELS.get(operation.by or "", operation.by or "–"))
    return _("%(who)s, by %(channel)s", who=operation.who, channel=by) if operation.who else by


@blueprint.app_template_filter()
def step_words(step: str) -> str:
    """A step of an operation, for people."""
    return str(_STEPS.get(step, step))


@blueprint.app_template_filter()
def driver_words(way: str) -> str:
    """Return the way in which a volume's size is enforced, for people."""
    return str(_WAYS.get(way, way))


@blueprint.app_template_filter()
def status_words(status: int, phrase: str) -> str:
    """Return the meaning of an HTTP status, `phrase` for one that has no words here."""
    return str(_STATUS.get(status, phrase))

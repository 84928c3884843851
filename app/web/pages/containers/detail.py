"""One container: a version with its settings, how it is reached, all versions, events and output."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import request
from werkzeug.wrappers import Response

from app.containers.queries import ContainerView, VersionView
from app.errors import DomainError
from app.model.container import Spec
from app.model.names import Name, parse
from app.model.redaction import is_secret
from app.state.keys import CONTAINERS
from app.web.pages import polling
from app.web.pages.activity import activity
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.actions import has_log, legal
from app.web.pages.containers.timeline import HIDDEN, command, timeline
from app.web.pages.localize import localize
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import services

LOG_LINES = 200
# How long, in seconds, a page waits for the sizes of layers that are not known yet.
_PATIENCE = 0.2
# What can be done with one whose state is not known.
_NOTHING: Mapping[str, Any] = {"actions": (), "executable": False, "log": None}


@blueprint.route("/containers/<name>")
def container(name: str) -> Response:
    """The version `name` of a container, and the chain of all its versions."""
    return polling.page("container.html", **context(parse(name)))


def context(name: Name) -> dict[str, Any]:
    """Everything that the page of a container shows."""
    data = PageData()
    view = data.load_container(name, even_old=True)
    shown = version_of(view, name)
    history = activity(data, CONTAINERS, name.family, view.family.created)
    known = not data.problems
    _load_what_it_names(data, view, shown)
    return {
        "requested": str(name),  # what the page goes on to be about when the next version comes
        "data": data,
        "known": known,
        "view": view,
        "shown": shown,
        "newest": shown.record.version == view.newest.version,
        "activity": history,
        "steps": timeline(view.versions, shown.record, _sizes(view)),
        **_settings(shown.record.spec),
        **(_possible(view, shown, history.busy) if known else _NOTHING),
    }


def _load_what_it_names(data: PageData, view: ContainerView, shown: VersionView) -> None:
    """Read the GPUs and volumes only if the page has something to say of them."""
    if shown.record.gpus or view.gpus:
        data.load_gpus()
    if shown.record.spec.binds:
        data.load_names()


def _sizes(view: ContainerView) -> dict[str, int]:
    return services().containers.layer_sizes.of(
        [each.record for each in view.versions if each.state != "missing"], _PATIENCE
    )


def _settings(spec: Spec) -> dict[str, Any]:
    """Return the settings that the container was made with, as much of them as is to be seen."""
    revealed = request.args.get("secrets") == "shown"
    return {
        "command": json.dumps(command(spec, revealed), ensure_ascii=False) if spec.cmd else None,
        "command_secret": command(spec) != spec.cmd,
        "env": environment(spec, revealed),
        "revealed": revealed,
        "host": host(),
    }


def _possible(view: ContainerView, shown: VersionView, busy: bool) -> dict[str, Any]:
    """Return the actions possible with the container, and what can be read of it now."""
    return {
        "actions": legal(view, shown, busy),
        "executable": shown.state == "running",
        "log": log_of(shown) if has_log(shown) else None,
    }


def version_of(view: ContainerView, name: Name) -> VersionView:
    """The version that a name means: its own, or the newest."""
    return next(version for version in view.versions if name.version in (None, version.record.version))


def environment(spec: Spec, revealed: bool) -> list[tuple[str, str, bool]]:
    """Name, value and whether that is a secret, of each variable; secrets are masked unless `revealed`."""
    found = []
    for line in spec.env:
        name, _, value = line.partition("=")
        secret = is_secret(name, value)
        found.append((name, HIDDEN if secret and not revealed else value, secret))
    return found


def host() -> str:
    """The host's name or address as the reader's browser knows it, as it stands in addresses."""
    name = urlsplit(f"//{request.host}").hostname or ""
    return f"[{name}]" if ":" in name else name


def log_of(shown: VersionView) -> str:
    """The last lines of its output, or why they cannot be read."""
    try:
        return services().containers.logs(Name(shown.record.family, shown.record.version), LOG_LINES)
    except DomainError as exc:
        return _("The log cannot be read: %(why)s", why=localize(exc.message))

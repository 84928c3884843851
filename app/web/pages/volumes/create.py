"""The form for a new volume."""

from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app import errors
from app.model.names import VOLUME, check_family
from app.model.sizes import parse_size
from app.volumes.create import CreateVolume
from app.volumes.transactions import VolumeResult
from app.web.pages.blueprint import blueprint
from app.web.pages.form_actions import Refusal, execute, page, refused
from app.web.pages.page_texts import _
from app.web.request_scope import if_unreachable, place_volume, services

# Which field an error of the service is about.
_FIELDS = {
    "name": (errors.VolumeExists, errors.NameIllegal),
    "node": (errors.NodeNotFound, errors.NodeUnreachable, errors.NodeRefused),
}


# Not below /volumes/, where every name may be a volume's.
@blueprint.route("/create/volume", methods=["GET", "POST"])
def create_volume() -> ResponseReturnValue:
    """Show the form; once it is sent create the volume, or only check whether that could be done."""
    if request.method != "POST":
        return _page(None)
    if_unreachable(lambda error: _refused(refused(error)))
    name, size = (request.form.get(key, "").strip() for key in ("name", "size"))
    if wrong := _problems(name, size):
        return _page(Refusal(_("nothing was created: see what is said at the fields")), wrong)
    try:
        place_volume(request.form.get("node") or None)
    except errors.DomainError as exc:
        return _refused(refused(exc))
    if request.form.get("wish") == "check":
        plan = services().operations.preview(CreateVolume(name, size))
        return _page(None, _at_field(plan.blocker), plan=plan)
    target, meanwhile = url_for("pages.volume", name=name), url_for("pages.operations", name=name)
    done = execute(CreateVolume(name, size), _describe, target, meanwhile)
    return _refused(done) if isinstance(done, Refusal) else done


def _refused(refusal: Refusal) -> ResponseReturnValue:
    return _page(refusal, _at_field(refusal.error))


def _page(refusal: Refusal | None, wrong: dict[str, str] | None = None, **more: Any) -> ResponseReturnValue:
    typed = {key: request.form.get(key, "") for key in ("name", "size", "node")}
    nodes = sorted(services().placement.nodes.all())
    context = {"typed": typed, "nodes": nodes, "wrong": wrong or {}, "plan": None, **more}
    return page("volume_create.html", lambda: context, refusal)


def _problems(name: str, size: str) -> dict[str, str]:
    found = {}
    for field, check in (("name", lambda: check_family(name, VOLUME)), ("size", lambda: parse_size(size))):
        try:
            check()
        except errors.InvalidRequest as exc:
            found[field] = exc.message
    return found


def _at_field(error: errors.DomainError | None) -> dict[str, str]:
    return {field: error.message for field, kinds in _FIELDS.items() if isinstance(error, kinds)} if error else {}


def _describe(made: VolumeResult) -> str:
    record = made.record
    if not record.enforced:
        return _(
            "%(name)s is created; nothing keeps it from growing beyond %(size)s", name=record.name, size=record.size
        )
    return _("%(name)s is created", name=record.name)

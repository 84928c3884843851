"""The form for a new container."""

from collections.abc import Callable
from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.containers.create import CreateContainer
from app.errors import DomainError
from app.operations.preview import Preview
from app.web.pages import form_choices, images
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.create_form import Draft, field_of, problems, read, spare
from app.web.pages.form_actions import Refusal, execute, page, refused
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import answer_at, if_unreachable, place_container, services


# Not below /containers/, where every name may be a container's.
@blueprint.route("/create/container", methods=["GET", "POST"])
def create_container() -> ResponseReturnValue:
    """Show the form; once it is sent create the container, or only check whether that could be done.

    The images that it offers are those of the node that shows it: another one does if it is asked for.
    """
    if request.method == "POST":
        draft, wish = read(request.form), request.form.get("wish")
    else:
        draft, wish = Draft(image=request.args.get("image", ""), node=request.args.get("node", "")), "node"
    if_unreachable(lambda error: _refused(draft, refused(error)))
    if wish == "node":
        return _form(draft)
    if wish in ("mounts", "ports"):
        return _page(draft, None, more=wish)
    if found := problems(draft):
        return _page(draft, Refusal(_("nothing was created: see what is said at the fields")), found)
    return _placed(draft, _checked if wish == "check" else _created)


def _form(draft: Draft) -> ResponseReturnValue:
    """The form with what there is on the node of the draft."""
    try:
        answer_at(draft.node or None)
    except DomainError as exc:
        return _refused(draft, refused(exc))
    return _page(draft, None)


def _placed(draft: Draft, then: Callable[[Draft], ResponseReturnValue]) -> ResponseReturnValue:
    """Answer with `then`, on the node where the container is to be."""
    try:
        place_container(draft.name, draft.spec, draft.node or None)
    except DomainError as exc:
        return _refused(draft, refused(exc))
    return then(draft)


def _checked(draft: Draft) -> ResponseReturnValue:
    plan = services().operations.preview(CreateContainer(draft.name, draft.spec))
    field = field_of(plan.blocker) if plan.blocker else None
    found = {field: plan.blocker.message} if field and plan.blocker else {}
    return _page(draft, None, found, plan=plan)


def _created(draft: Draft) -> ResponseReturnValue:
    done = execute(
        CreateContainer(draft.name, draft.spec),
        lambda made: _("%(name)s is created and runs", name=made.name),
        url_for("pages.container", name=draft.name),
        meanwhile=url_for("pages.operations", name=draft.name),
    )
    return _refused(draft, done) if isinstance(done, Refusal) else done


def _refused(draft: Draft, refusal: Refusal) -> ResponseReturnValue:
    field = field_of(refusal.error) if refusal.error else None
    return _page(draft, refusal, {field: refusal.message} if field else {})


def _page(
    draft: Draft,
    refusal: Refusal | None,
    wrong: dict[str, str] | None = None,
    more: str = "",
    plan: Preview | None = None,
) -> ResponseReturnValue:
    def context() -> dict[str, Any]:
        data = PageData()
        data.load_gpus()
        return {
            "data": data,
            "draft": draft,
            "wrong": wrong or {},
            "plan": plan,
            "mounts": spare(draft.mounts, more == "mounts"),
            "ports": spare(draft.ports, more == "ports"),
            "images": images.names(data),
            "shown_node": services().config.node,
            "volumes": form_choices.volumes(data),
            "nodes": sorted(services().placement.nodes.all()),
            "roots": services().config.bind_roots,
            "range": services().config.port_range,
        }

    return page("container_create.html", context, refusal)

"""Give a container other GPUs, another volume, or go back: shown before and after first, then done."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.containers.change_gpus import ChangeGpus
from app.containers.change_volume import ChangeVolume
from app.containers.rollback import RollBackContainer
from app.containers.transactions import ContainerResult
from app.model.container import Bind, Spec
from app.model.names import Name, parse
from app.operations.base import Request
from app.operations.preview import Preview
from app.web.pages import form_choices
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.detail import version_of
from app.web.pages.containers.timeline import changes
from app.web.pages.form_actions import Context, Refusal, answer, page
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import services


@blueprint.route("/containers/<name>/gpus", methods=["GET", "POST"])
def container_gpus(name: str) -> ResponseReturnValue:
    """Ask how many GPUs, show what that would change, and do it."""
    target, template = parse(name), "container_gpus.html"
    typed = request.values.get("count", "").strip()
    if not typed.isdecimal() or len(typed) > 4:
        wrong = Refusal(_("give a whole number of GPUs, 0 or more")) if typed else None
        return page(template, lambda: {**_subject(target), "count": typed, "preview": None}, wrong)
    count = int(typed)

    def describe(made: ContainerResult) -> str:
        return _("%(name)s runs with %(count)s GPUs", name=made.name, count=count)

    change = ChangeGpus(target, count)
    context = _before_and_after(target, change, lambda spec: spec.with_gpus(count), count=count)
    return answer(template, context, change, describe, _back(target))


@blueprint.route("/containers/<name>/volume", methods=["GET", "POST"])
def container_volume(name: str) -> ResponseReturnValue:
    """Ask which mount and which volume in its place, show what that would change, and do it."""
    target, template = parse(name), "container_volume.html"
    dest, source = (request.values.get(key, "").strip() for key in ("dest", "source"))
    chosen = {"dest": dest, "source": source}
    spec = services().containers.records.version(target).spec
    old = next((bind for bind in spec.binds if bind.is_volume and bind.dest == dest), None)
    if old is None or not source:
        wrong = Refusal(_("choose a volume that it mounts, and another one in its place")) if dest or source else None
        return page(template, _with_volumes(lambda: {**_subject(target), **chosen, "preview": None}), wrong)
    new = replace(old, src=source)
    change = ChangeVolume(target, old, new)
    context = _before_and_after(target, change, lambda spec: spec.with_bind(old, new), **chosen)
    return answer(template, _with_volumes(context), change, lambda made: _exchanged(made, new), _back(target))


@blueprint.route("/containers/<name>/rollback", methods=["GET", "POST"])
def roll_container_back(name: str) -> ResponseReturnValue:
    """Show what going back to the older version `name` would change, and do it."""
    target = parse(name)
    origin = services().containers.records.version(target)

    def describe(made: ContainerResult) -> str:
        return _("%(name)s runs with the files and settings of %(origin)s", name=made.name, origin=origin.name)

    change = RollBackContainer(Name(target.family), origin.version)
    context = _before_and_after(target, change, lambda _spec: origin.spec, origin=origin)
    return answer("container_rollback.html", context, change, describe, _back(target))


def _before_and_after(
    target: Name, change: Request[ContainerResult], to_spec: Callable[[Spec], Spec], **more: Any
) -> Context:
    """Return a context with the container before and after the change, to be found out when it is to be shown."""

    def context() -> dict[str, Any]:
        found = _subject(target)
        before = found["view"].newest.spec
        plan, describe = services().operations.preview(change), changes(before, to_spec(before))
        return {**found, **more, "preview": plan, "changes": describe, "gpus": _exchange(found["view"].gpus, plan)}

    return context


def _subject(target: Name) -> dict[str, Any]:
    data = PageData()
    view = data.load_container(target)
    data.load_gpus()
    return {"data": data, "view": view, "shown": version_of(view, target)}


def _with_volumes(context: Context) -> Context:
    """The same with the volumes that could be mounted."""

    def more() -> dict[str, Any]:
        found = context()
        return {**found, "volumes": form_choices.volumes(found["data"])}

    return more


def _exchange(holds: tuple[str, ...], plan: Preview) -> dict[str, list[str]]:
    """Return the GPUs that the container keeps, gets and gives up, as it is planned now."""
    held, wanted = set(holds), set(plan.gpus if plan.operation else holds)
    return {"kept": sorted(held & wanted), "added": sorted(wanted - held), "freed": sorted(held - wanted)}


def _exchanged(made: ContainerResult, new: Bind) -> str:
    words = {"name": made.name, "volume": new.src, "dest": new.dest}
    if made.merged is False:
        return _(
            "%(name)s runs with %(volume)s at %(dest)s, which was left as it is since somebody had it mounted before",
            **words,
        )
    return _("%(name)s runs with %(volume)s at %(dest)s", **words)


def _back(target: Name) -> str:
    return url_for("pages.container", name=target.family)

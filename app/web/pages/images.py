"""Images: the list with what is being pulled, pulling, naming, and removing what nobody needs."""

from collections.abc import Sequence

from flask import request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import ngettext

from app.images.pull import PulledImage, PullImage
from app.images.queries import ImageView
from app.model.image import full_name
from app.web.pages import polling
from app.web.pages.blueprint import blueprint
from app.web.pages.form_actions import Refusal, answer, execute
from app.web.pages.page_data import PageData
from app.web.pages.page_texts import _
from app.web.request_scope import answer_at, services


def names(data: PageData) -> Sequence[str]:
    """The names of all images, for a form to choose from; empty, and `seen` has the problem, while Docker is down."""
    data.load_images()
    return sorted(name for view in data.images or () for name in view.image.names)


@blueprint.route("/images", methods=["GET", "POST"])
def images() -> ResponseReturnValue:
    """The images with `name` in a name, all or (`unused`) those that nobody needs, and what is being pulled.

    Its form pulls the image that it names; if that is refused, the list is still what is shown, and kept up to date.
    """
    answer_at(_node())
    return _pull() if request.method == "POST" else _page(None)


@blueprint.route("/images/tag", methods=["GET", "POST"])
def tag_image() -> ResponseReturnValue:
    """Ask for one more name for the image `image`, and give it to it."""
    answer_at(_node())
    image, name, images = request.args.get("image", ""), request.form.get("name", "").strip(), services().images
    view = images.one(image)
    return answer(
        "image_tag.html",
        lambda: {"view": view, "name": name, "back": _list()},
        lambda _: images.tag(view.image.id, name),
        lambda made: _("%(image)s is also called %(name)s", image=view.image.title, name=full_name(name)),
        _list(),
    )


@blueprint.route("/images/remove", methods=["GET", "POST"])
def remove_images() -> ResponseReturnValue:
    """Show what would be removed, each `image` or all that nobody needs, and remove the names that were ticked."""
    answer_at(_node())
    ticked, images = request.form.getlist("name"), services().images
    return answer(
        "images_remove.html",
        lambda: {"views": _candidates(), "ticked": ticked, "chosen": "image" in request.args, "back": _list()},
        lambda _: images.remove_unused(ticked),
        lambda gone: _removed(gone, len(ticked)),
        _list(),
    )


def _pull() -> ResponseReturnValue:
    name = request.form.get("image", "").strip()
    done = execute(PullImage(name), _pulled, _list())
    return _page(done, name) if isinstance(done, Refusal) else done


def _node() -> str | None:
    return request.args.get("node") or None


def _list() -> str:
    return url_for("pages.images", node=_node())


def _page(refusal: Refusal | None, pulling: str = "") -> ResponseReturnValue:
    name, unused = request.args.get("name", "").strip() or None, request.args.get("unused") == "yes"
    here, operations, data = services().images.node, services().operations.queries, PageData()
    data.load_images(name, unused)
    data.load_names()
    response = polling.page(
        "images.html",
        data=data,
        name=name,
        unused=unused,
        node=_node(),
        shown_node=here,
        nodes=data.fetch("nodes", lambda: sorted(services().placement.nodes.all())) or (),
        pulls=data.fetch("pulls", lambda: operations.all(state="running", kind="pull", node=here).operations) or (),
        refusal=refusal,
        pulling=pulling,
    )
    response.status_code = refusal.status if refusal else response.status_code
    return response


def _candidates() -> list[ImageView]:
    """The images that are asked for, needed or not, or else all that nobody needs, those without a name first."""
    chosen = request.args.getlist("image")
    views = [services().images.one(image) for image in chosen] or services().images.all(unused=True)
    return sorted(views, key=lambda view: view.image.named)


def _pulled(made: PulledImage) -> str:
    return _("%(name)s is here now", name=made.name) if made.changed else _("%(name)s was up to date", name=made.name)


def _removed(gone: Sequence[str], ticked: int) -> str:
    words = ngettext("%(num)s name or image was removed", "%(num)s names or images were removed", len(gone))
    left = ticked - len(gone)
    more = ngettext("%(num)s stays, since it is needed by now", "%(num)s stay, since they are needed by now", left)
    return f"{words}; {more}" if left else str(words)

"""Make an image of a container as it is."""

from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from app.containers.commit import CommitContainer
from app.model.names import parse
from app.web.pages.blueprint import blueprint
from app.web.pages.containers.stop_restart import consequences
from app.web.pages.form_actions import Refusal, answer, page
from app.web.pages.page_texts import _
from app.web.request_scope import services

# How long, in seconds, the page waits for the size of the layer if that is not known yet.
_PATIENCE = 1.0


@blueprint.route("/containers/<name>/commit", methods=["GET", "POST"])
def commit_container(name: str) -> ResponseReturnValue:
    """Ask for a name, then make an image of a container."""
    target = parse(name)
    image = request.form.get("image", "").strip()

    def context() -> dict[str, Any]:
        found = consequences(target, CommitContainer(target, None))
        sizes = services().containers.layer_sizes.of([found["shown"].record], _PATIENCE)
        return {**found, "image": image, "size": sizes.get(found["shown"].record.name)}

    if request.method == "POST" and not image:
        return page("container_commit.html", context, Refusal(_("the image needs a name")))
    return answer(
        "container_commit.html",
        context,
        CommitContainer(target, image),
        lambda made: _("%(container)s is now also the image %(image)s", container=made[0], image=made[1]),
        url_for("pages.container", name=str(target)),
    )

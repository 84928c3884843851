"""Images: list, show, pull, name, remove. Their names may have slashes and colons, and stand in paths as they are."""

from typing import Any

from flask import request
from flask.views import MethodView

from app import errors
from app.images.pull import PulledImage, PullImage
from app.web.api import serializers
from app.web.api.async_requests import changing, execute, refuse_preview, wants_preview
from app.web.api.envelope import SENT_ON, Resource, ok
from app.web.api.schemas import envelope
from app.web.api.schemas_images import (
    ImageSchema,
    ImagesQuery,
    ImagesSchema,
    PrunedSchema,
    PruneSchema,
    PulledSchema,
    PullSchema,
    TagSchema,
)
from app.web.request_scope import answer_at, services

blueprint = Resource("images", __name__, description="Images of each node")

Json = dict[str, Any]
_DRY_RUN = {"in": "query", "name": "dryRun", "schema": {"type": "boolean"}, "description": "Only say what would go."}
_NODE = [{"in": "query", "name": "node", "schema": {"type": "string"}, "description": "whose; the one asked if absent"}]


@blueprint.before_request
def at_its_node() -> None:
    """Send the request on if it means the images of another node."""
    answer_at(request.args.get("node"))


@blueprint.route("/api/v1/images", parameters=_NODE)
class Images(MethodView):
    """All images of a node."""

    @blueprint.arguments(ImagesQuery, location="query")
    @blueprint.response(200, envelope(ImagesSchema))
    @blueprint.documents_errors(errors.NodeNotFound, *SENT_ON)
    def get(self, query: Json) -> Json:
        """List images, the newest first, with who needs each."""
        return ok({"images": [serializers.image(view) for view in services().images.all(**query)]})


@blueprint.route("/api/v1/images/pull", parameters=_NODE)
class ImagePull(MethodView):
    """Loading an image from its registry."""

    @changing(blueprint)
    @blueprint.arguments(PullSchema)
    @blueprint.response(200, envelope(PulledSchema))
    @blueprint.documents_errors(
        errors.NodeNotFound,
        errors.ImageNameMissing,
        errors.ImageNotInRegistry,
        errors.OperationRunning,
        errors.OperationStuck,
        errors.Cancelled,
        errors.ImagePullFailed,
        errors.RegistryUnreachable,
        *SENT_ON,
    )
    def post(self, body: Json) -> Any:
        """Pull an image, or what its registry has under its name by now: an operation that shows its bytes.

        Registries that ask for a login get the one of `docker login` on the host, of the user that gpudock runs as.
        """
        return execute(PullImage(body["image"]), _pulled)


@blueprint.route("/api/v1/images/prune", parameters=_NODE)
class ImagePrune(MethodView):
    """Tidying up."""

    @blueprint.doc(parameters=[_DRY_RUN])
    @blueprint.arguments(PruneSchema)
    @blueprint.response(200, envelope(PrunedSchema))
    @blueprint.documents_errors(errors.NodeNotFound, errors.ImageRemoveFailed, *SENT_ON)
    def post(self, body: Json) -> Json:
        """Remove the images that nobody needs: those without a name or, if asked for, all of them."""
        images, rehearsal = services().images, wants_preview()
        views = [v for v in images.all(unused=True) if not (body["untaggedOnly"] and v.image.named)]
        chosen = [view.image.id for view in views]
        gone = chosen if rehearsal else images.remove_unused(chosen)
        found = [serializers.image(view) for view in views if view.image.id in gone]
        return ok({"dryRun": rehearsal, "images": found, "size": sum(image["size"] for image in found)})


@blueprint.route("/api/v1/images/<path:name>", parameters=_NODE)
class Image(MethodView):
    """One image, by its name or id."""

    @blueprint.response(200, envelope(ImageSchema))
    @blueprint.documents_errors(errors.NodeNotFound, errors.ImageNotFound, *SENT_ON)
    def get(self, name: str) -> Json:
        """Show an image."""
        return ok(serializers.image(services().images.one(name)))

    @blueprint.response(200, envelope(None))
    @blueprint.documents_errors(
        errors.NodeNotFound, errors.ImageNotFound, errors.ImageInUse, errors.ImageRemoveFailed, *SENT_ON
    )
    def delete(self, name: str) -> Json:
        """Take this name from an image that nobody needs, by its id all names; the last one goes with the image."""
        refuse_preview()
        services().images.remove(name)
        return ok()


@blueprint.route("/api/v1/images/<path:name>/tag", parameters=_NODE)
class ImageTag(MethodView):
    """One more name."""

    @blueprint.arguments(TagSchema)
    @blueprint.response(200, envelope(ImageSchema))
    @blueprint.documents_errors(
        errors.NodeNotFound, errors.ImageNotFound, errors.ImageNameMissing, errors.ImageNameTaken, *SENT_ON
    )
    def post(self, body: Json, name: str) -> Json:
        """Give an image one more name, which no other image has."""
        refuse_preview()
        return ok(serializers.image(services().images.tag(name, body["newName"])))


def _pulled(made: PulledImage) -> Json:
    return ok({"name": made.name, "id": made.view.image.id}, made.changed)

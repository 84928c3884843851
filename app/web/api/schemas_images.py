"""Shapes of images."""

from marshmallow import Schema, fields


class ImagesQuery(Schema):
    """The images to list."""

    name = fields.String(metadata={"description": "only those with this in a name or in their id"})
    unused = fields.Boolean(load_default=False, metadata={"description": "only those that nobody needs"})


class ImageSchema(Schema):
    """An image of the host. Whoever is in `usedBy` (containers, versions on record, what is being made) keeps it."""

    id = fields.String()
    names = fields.List(fields.String(), metadata={"description": "none for what a pull or build left behind"})
    digests = fields.List(fields.String(), metadata={"description": "the names with the digests of registries"})
    size = fields.Integer(metadata={"description": "bytes, with what it shares with other images"})
    created = fields.String()
    usedBy = fields.List(fields.String())
    commitOf = fields.String(allow_none=True, metadata={"description": "the container that it is a commit of"})
    node = fields.String()


class ImagesSchema(Schema):
    """Images, the newest first."""

    images = fields.List(fields.Nested(ImageSchema))


class PullSchema(Schema):
    """The image to pull."""

    image = fields.String(load_default="", metadata={"example": "busybox:local"})


class PulledSchema(Schema):
    """The name that was pulled, with its tag, and the id of what has it now."""

    name = fields.String()
    id = fields.String()


class TagSchema(Schema):
    """The name to give to the image besides those that it has; without a tag it gets `latest`."""

    newName = fields.String(load_default="", metadata={"example": "team/saved:1"})


class PruneSchema(Schema):
    """The images to remove among those that nobody needs: all, or those without a name."""

    untaggedOnly = fields.Boolean(load_default=True)


class PrunedSchema(Schema):
    """The images removed or (dryRun) to be removed; `size` adds up theirs: what they share counts more than once."""

    dryRun = fields.Boolean()
    images = fields.List(fields.Nested(ImageSchema))
    size = fields.Integer()

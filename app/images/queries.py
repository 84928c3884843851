"""The images of this node: what there is, who needs it, and taking away what nobody does."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from app.errors import ImageInUse, ImageNameTaken, ImageNotFound
from app.model.container import VersionRecord
from app.model.image import LocalImage, full_name
from app.model.messages import Text
from app.model.names import versioned
from app.model.operation import Operation
from app.ports import Images, StoreReader
from app.state.codec import readable
from app.state.keys import CONTAINERS, OPERATIONS, families_prefix, is_version
from app.state.unreadable import unreadable

_NAMED = 3


@dataclass(frozen=True)
class ImageView:
    """An image, its node, and the names of those that need it: containers, recorded versions, what is being made."""

    image: LocalImage
    node: str
    users: tuple[str, ...] = ()

    @property
    def in_use(self) -> bool:
        """Tell whether anybody needs the image; then it stays."""
        return bool(self.users)


class ImageService:
    """Reads and changes the images of one node. Docker knows them, and etcd who needs them."""

    def __init__(self, store: StoreReader, images: Images, node: str) -> None:
        self._store = store
        self._images = images
        self.node = node

    def all(self, name: str | None = None, unused: bool = False) -> tuple[ImageView, ...]:
        """Every image, the newest first; only those with `name` in a name, or that nobody needs, if asked for."""
        # Docker first: whoever needs an image by then has said so in etcd before.
        images, users = self._images.all(), self._images.users()
        needed = self._needed()
        views = [_view(image, self.node, users, needed) for image in images]
        return tuple(view for view in views if _has(view.image, name) and not (unused and view.in_use))

    def one(self, name: str) -> ImageView:
        """The image of that name, tag, digest or id; ImageNotFound if there is none."""
        identity = self._images.image(name).id
        found = next((view for view in self.all() if view.image.id == identity), None)
        if found is None:
            raise ImageNotFound(
                Text("the image {image} has just been removed, or is only what others are built on", image=repr(name))
            )
        return found

    def tag(self, name: str, new_name: str) -> ImageView:
        """Give the image one more name; ImageNameTaken rather than take it away from another image."""
        image, new = self._images.image(name), full_name(new_name)
        if self._holder(new) not in (None, image.id):
            raise ImageNameTaken(
                Text("there is an image {image} already; choose another name, or remove it first", image=repr(new))
            )
        self._images.tag(image.id, new)
        return self.one(image.id)

    def remove(self, name: str) -> ImageView:
        """Take one name from an image that nobody needs, by its id all of them; the last name goes with the image.

        Returns what there was. ImageInUse, and nothing is changed, if anybody needs it; UnreadableRecord if one does
        not know.
        """
        view = self.one(name)
        _check_unused(view)
        self._check_known()
        self._take(view.image.meant_by(name), view.image.id)
        return view

    def remove_unused(self, names: Iterable[str]) -> tuple[str, ...]:
        """Do as `remove` with each of these names or ids, but leave what anybody needs (by now); those that went."""
        return tuple(name for name in names if self._remove_if_unused(name))

    def _remove_if_unused(self, name: str) -> bool:
        try:
            self.remove(name)
        except (ImageInUse, ImageNotFound):
            return False
        return True

    def _check_known(self) -> None:
        for problem in unreadable(self._store.list(families_prefix(CONTAINERS), OPERATIONS)):
            raise problem

    def _take(self, names: Iterable[str], identity: str) -> None:
        self._images.release_image(identity)
        for name in names:
            self._images.remove(name)
        if identity in self._needed():  # somebody has begun something with it meanwhile
            self._hold(identity)

    def _hold(self, identity: str) -> None:
        with suppress(ImageNotFound):  # it went with its last name; who began is told so
            self._images.hold_image(identity)

    def _holder(self, name: str) -> str | None:
        try:
            return self._images.image(name).id
        except ImageNotFound:
            return None

    def _needed(self) -> dict[str, set[str]]:
        """Versions on record and what is being made, by the image's id; by the operation's, what that makes of it."""
        found: dict[str, set[str]] = {}
        entries = self._store.list(families_prefix(CONTAINERS), OPERATIONS)
        versions = readable(VersionRecord, (entry for entry in entries if is_version(entry.key)))
        running = readable(Operation, (entry for entry in entries if entry.key.startswith(OPERATIONS)))
        users: list[tuple[str | None, VersionRecord | Operation]] = [
            *((record.image_id, record) for _, record in versions),
            *((image, operation) for _, operation in running for image in (operation.image_id, operation.id)),
        ]
        for image, user in users:
            if image and user.node == self.node:
                found.setdefault(image, set()).add(versioned(user.family, user.version))
        return found


def _view(image: LocalImage, node: str, users: Mapping[str, set[str]], needed: Mapping[str, set[str]]) -> ImageView:
    # A commit has no name yet when it has just been made.
    keys = (image.id, image.maker)
    names = {name for key in keys if key for who in (users, needed) for name in who.get(key, ())}
    return ImageView(image, node, tuple(sorted(names)))


def _has(image: LocalImage, name: str | None) -> bool:
    known = (*image.names, *image.digests, image.id.removeprefix("sha256:"))
    return name is None or any(name in one for one in known)


def _check_unused(view: ImageView) -> None:
    if not view.in_use:
        return
    names = ", ".join(view.users[:_NAMED])
    if len(view.users) > _NAMED:
        names = Text("{names} and others", names=names)
    message = Text("{image} is needed by {names}; delete those first", image=view.image.title, names=names)
    raise ImageInUse(message, containers=list(view.users))

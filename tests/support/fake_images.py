"""The images of FakeEngine, and a registry that is a dict."""

import re
from collections.abc import Callable, Sequence

from app.errors import DomainError, ImageInUse, ImageNotFound, ImageNotInRegistry, InvalidRequest
from app.model.container import Image
from app.model.image import LocalImage, PullState
from tests.support.fake_engine import FakeEngine

_NAME = re.compile(r"[a-z0-9]+([._/:-]+[a-z0-9]+)*(:[\w][\w.-]*)?", re.ASCII)


class FakeImages:
    """`registry` has what can be pulled: by its name the image's id. `states` are what each pull reports.

    `sizes` has the sizes of images by their ids, in bytes. Those without a name are the engine's `untagged`.
    """

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.registry: dict[str, str] = {}
        self.states: Sequence[PullState] = (PullState("loading", 1 << 20, 1 << 20),)
        self.fail_next: DomainError | None = None
        self.sizes: dict[str, int] = {}

    def image(self, name: str) -> Image:
        return self._engine.image(name)

    def hold_image(self, image_id: str) -> None:
        self._engine.hold_image(image_id)

    def release_image(self, image_id: str) -> None:
        self._engine.release_image(image_id)

    def held_images(self) -> set[str]:
        return self._engine.held_images()

    def commit(self, ref: str, image_name: str, operation: str) -> str:
        return self._engine.commit(ref, image_name, operation)

    def name_commit(self, operation: str, image_name: str) -> bool:
        return self._engine.name_commit(operation, image_name)

    def nameless_commits(self) -> set[str]:
        return self._engine.nameless_commits()

    def drop_commit(self, operation: str) -> None:
        self._engine.drop_commit(operation)

    def all(self) -> list[LocalImage]:
        self._engine.list()  # Docker may be down
        known = {image.id for image in self._engine.images.values()}
        return [self._image(identity) for identity in sorted(known | self._engine.untagged)]

    def users(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for container in self._engine.containers.values():
            found.setdefault(container.image_id, set()).add(container.name)
        return found

    def pull(self, name: str, tell: Callable[[PullState], None]) -> None:
        for state in self.states:
            tell(state)
        if error := self.fail_next:
            self.fail_next = None
            raise error
        if name not in self.registry:
            raise ImageNotInRegistry(f"the registry has no image {name!r}")
        self._rename(name, self.registry[name])

    def tag(self, image_id: str, name: str) -> None:
        if not self._names(image_id) and image_id not in self._engine.untagged:
            raise ImageNotFound(f"there is no image {image_id}")
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{name!r} cannot be an image's name")
        self._rename(name, image_id)
        self._engine.untagged.discard(image_id)

    def remove(self, name: str) -> None:
        used = self.users()
        image = self._engine.images.get(name)
        identity = image.id if image else name
        if identity in used and len(self._names(identity)) < 2:
            raise ImageInUse(f"{name} stays: a container uses it")
        self._engine.images.pop(name, None)
        self._engine.untagged.discard(name)

    def _rename(self, name: str, identity: str) -> None:
        before = self._engine.images.get(name)
        self._engine.images[name] = Image(identity)
        if before and before.id != identity and not self._names(before.id):
            self._engine.untagged.add(before.id)

    def _names(self, identity: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, image in self._engine.images.items() if image.id == identity))

    def _image(self, identity: str) -> LocalImage:
        committed = self._engine.commits.get(identity)
        size = self.sizes.get(identity, 4 << 20)
        maker = next((o for o, image in self._engine.committed_by.items() if image.id == identity), None)
        return LocalImage(identity, self._names(identity), (), size, "2026-11-24T10:00:00.000+00:00", committed, maker)

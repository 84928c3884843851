"""Every page of the dashboard, for the tests that look at all of them. A new page needs one line here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """A page: a name for its screenshot, its address, its status, and whether one must be logged in to see it.

    The address may name {gpu}, {image} (its id), {done}, {failed} and {stuck} (operations). There are: the container
    foo with two versions, foo-1 with a GPU and the volume vol-1, which has two versions too; bar-0, stopped; baz-0, of
    which a commit is stuck.
    """

    name: str
    path: str
    status: int = 200
    inside: bool = True


PAGES = (
    Page("login", "/login", inside=False),
    Page("overview", "/"),
    Page("gpus", "/gpus"),
    Page("gpu", "/gpus/{gpu}"),
    Page("containers", "/containers"),
    Page("containers-filtered", "/containers?name=nothing"),
    Page("container-create", "/create/container"),
    Page("container", "/containers/foo"),
    Page("container-older", "/containers/foo-0"),
    Page("container-stopped", "/containers/bar"),
    Page("container-gpus", "/containers/foo/gpus"),
    Page("container-gpus-preview", "/containers/foo/gpus?count=3"),
    Page("container-volume", "/containers/foo/volume"),
    Page("container-volume-preview", "/containers/foo/volume?dest=/data&source=vol-0"),
    Page("container-rollback", "/containers/foo-0/rollback"),
    Page("container-stop", "/containers/foo/stop"),
    Page("container-restart", "/containers/foo/restart"),
    Page("container-delete", "/containers/foo/delete"),
    Page("container-commit", "/containers/foo/commit"),
    Page("container-execute", "/containers/foo/execute"),
    Page("container-log", "/containers/foo/log"),
    Page("volumes", "/volumes"),
    Page("volume-create", "/create/volume"),
    Page("volume", "/volumes/vol"),
    Page("volume-older", "/volumes/vol-0"),
    Page("volume-resize", "/volumes/vol/resize"),
    Page("volume-resize-preview", "/volumes/vol/resize?size=4MB"),
    Page("volume-rollback", "/volumes/vol-0/rollback"),
    Page("volume-delete", "/volumes/vol/delete"),
    Page("images", "/images"),
    Page("image-tag", "/images/tag?image={image}"),
    Page("images-remove", "/images/remove"),
    Page("operations", "/operations"),
    Page("operation", "/operations/{done}"),
    Page("operation-failed", "/operations/{failed}"),
    Page("operation-stuck", "/operations/{stuck}"),
    Page("container-blocked", "/containers/baz"),
    Page("error", "/containers/nothing", 404),
    Page("not-found", "/nothing", 404),
)

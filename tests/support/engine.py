"""The real Docker adapters in one object, for tests that speak to all parts of it."""

from app.adapters.docker.client import Clients
from app.adapters.docker.containers import DockerContainers
from app.adapters.docker.exec import DockerExec
from app.adapters.docker.images import DockerImages
from app.adapters.docker.layers.locators import DriverLocator
from app.adapters.docker.volumes import EngineVolumes


class DockerEngine(DockerContainers, EngineVolumes, DockerExec):
    """Containers, Docker's volumes, commands and the methods of images that FakeEngine has too."""

    def __init__(self, url: str, node: str, gpu_request: str, stop_timeout: float) -> None:
        clients = Clients(url)
        DockerContainers.__init__(self, clients, node, gpu_request, stop_timeout)
        images = DockerImages(clients)
        self.image, self.hold_image, self.release_image = images.image, images.hold_image, images.release_image
        self.held_images, self.commit, self.name_commit = images.held_images, images.commit, images.name_commit
        self.nameless_commits, self.drop_commit = images.nameless_commits, images.drop_commit
        self.locate = DriverLocator(clients).locate

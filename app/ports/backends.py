"""All ports together: the outside world, the real one or a test's."""

from dataclasses import dataclass

from app.ports.docker import Containers, DockerVolumes, Exec, Images
from app.ports.gpus import Inventory
from app.ports.host import Host
from app.ports.layers import Layers
from app.ports.peers import Peers
from app.ports.signals import Signals
from app.ports.store import Store
from app.ports.volumes import Volumes


@dataclass(frozen=True)
class Backends:
    """One adapter for each part of the outside."""

    store: Store
    containers: Containers
    images: Images
    docker_volumes: DockerVolumes
    exec: Exec
    inventory: Inventory
    layers: Layers
    host: Host
    volumes: Volumes
    signals: Signals
    peers: Peers

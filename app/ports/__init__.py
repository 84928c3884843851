"""The ports: what gpudock needs of the outside, one module for each part of it.

Adapters implement these; tests have working fakes of them. Every method may raise `Unavailable`
naming its part when that part does not answer in time. A part that can be changed has a reader without the methods
that change it, so that the type of a parameter says who may write.
"""

from app.ports.backends import Backends
from app.ports.docker import ContainerReader, Containers, DockerVolumeReader, DockerVolumes, Exec, ImageReader, Images
from app.ports.gpus import Inventory
from app.ports.host import Host
from app.ports.layers import LayerLocator, LayerReader, Layers
from app.ports.peers import Message, Peers, Reply
from app.ports.signals import DOCKER_IS_BACK, Signals
from app.ports.store import Delete, Entry, Put, Store, StoreReader
from app.ports.transfer import Progress, Transfer
from app.ports.volume_drivers import PlaceKind, VolumeDetails, VolumeDriver
from app.ports.volumes import VolumeReader, Volumes

__all__ = [
    "DOCKER_IS_BACK",
    "Backends",
    "ContainerReader",
    "Containers",
    "Delete",
    "DockerVolumeReader",
    "DockerVolumes",
    "Entry",
    "Exec",
    "Host",
    "ImageReader",
    "Images",
    "Inventory",
    "LayerLocator",
    "LayerReader",
    "Layers",
    "Message",
    "Peers",
    "PlaceKind",
    "Progress",
    "Put",
    "Reply",
    "Signals",
    "Store",
    "StoreReader",
    "Transfer",
    "VolumeDetails",
    "VolumeDriver",
    "VolumeReader",
    "Volumes",
]

"""Drift: what is not as gpudock left it, why that matters, and what to do about it."""

from dataclasses import dataclass

from app.model.messages import Sentence, Text
from app.model.volume import VolumeRecord

CONTAINER_KINDS = (
    "missing",
    "renamed",
    "exited",
    "paused",
    "started",
    "older-running",
    "volume-missing",
    "volume-incomplete",
    "gpu-lost",
    "gpu-unhealthy",
    "gpu-lost-inside",
    "leftover",
    "unreachable",
)
VOLUME_KINDS = ("missing", "data-gone", "unenforced", "incomplete", "foreign-mount", "unreachable")
API = "/api/v1"


@dataclass(frozen=True)
class Drift:
    """One finding: its kind, what is the matter in one sentence, and what to do about it in another."""

    kind: str
    reason: Sentence
    advice: Sentence


def unreachable(name: str, silence: str) -> Drift:
    """It is on a node of which nobody knows how its things are."""
    return Drift(
        "unreachable",
        Text("How {name} is nobody knows: {why}", name=name, why=silence),
        Text("see to that host (`make doctor` there). It may well run on; nothing of it is given to others meanwhile"),
    )


def to_complete(volume: VolumeRecord) -> Text:
    """Advise on a volume that holds only a part of its data."""
    return Text(
        "move the container from {parent} to it again, or roll the volume back to version {version}",
        parent=f"{volume.family}-{volume.parent}",
        version=volume.parent,
    )


def to_forget(path: str) -> Text:
    """Advise on the record, at `path` of the API, of something that is gone for good."""
    return Text("delete its record (DELETE {path} with force and delEtcdInfoAndVersionRecord)", path=path)

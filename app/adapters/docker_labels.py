"""The labels that mark a container as gpudock's: their names are known here only."""

from collections.abc import Mapping

from app.domain.containers import Labels

NODE, FAMILY, VERSION, OPERATION = "gpudock.node", "gpudock.family", "gpudock.version", "gpudock.operation"
GPUS = "gpudock.gpus"


def write(labels: Labels, unrequested_gpus: tuple[str, ...]) -> dict[str, str]:
    """Docker's form of `labels`; GPUs that Docker is not asked for are noted in a label of their own."""
    own = {NODE: labels.node, FAMILY: labels.family, VERSION: str(labels.version), OPERATION: labels.operation}
    return {**own, GPUS: ",".join(unrequested_gpus)} if unrequested_gpus else own


def read(raw: Mapping[str, str] | None) -> Labels | None:
    """The labels, or None if some are missing or make no sense: then the container is somebody else's."""
    raw = raw or {}
    version = raw.get(VERSION, "")
    if not {NODE, FAMILY, OPERATION} <= raw.keys() or not (version.isascii() and version.isdigit()):
        return None
    return Labels(raw[NODE], raw[FAMILY], int(version), raw[OPERATION])


def wanted(node: str, family: str | None, operation: str | None) -> list[str]:
    """The label filters of Docker for one node, and one family or operation if given."""
    values = {NODE: node, FAMILY: family, OPERATION: operation}
    return [f"{label}={value}" for label, value in values.items() if value is not None]

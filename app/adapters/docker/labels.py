"""The labels that mark a container or volume as gpudock's: their names are known here only."""

from collections.abc import Mapping

from app.model.container import Labels

NODE, FAMILY, VERSION, OPERATION = "gpudock.node", "gpudock.family", "gpudock.version", "gpudock.operation"
GPUS = "gpudock.gpus"
DRIVER, SIZE = "gpudock.way", "gpudock.size"
HELPER = "gpudock.helper"
COMMIT, COMMITTED_BY = "gpudock.commit", "gpudock.commit-operation"
_OF_CONTAINERS = (NODE, FAMILY, VERSION, OPERATION, GPUS)


def write(labels: Labels, unrequested_gpus: tuple[str, ...]) -> dict[str, str]:
    """Write `labels` in Docker's form; GPUs that Docker is not asked for are noted in a label of their own."""
    own = {NODE: labels.node, FAMILY: labels.family, VERSION: str(labels.version), OPERATION: labels.operation}
    return {**own, GPUS: ",".join(unrequested_gpus)} if unrequested_gpus else own


def read(raw: Mapping[str, str] | None) -> Labels | None:
    """Read the labels; None if some are missing or make no sense: then the container is somebody else's."""
    raw = raw or {}
    version = raw.get(VERSION, "")
    if not {NODE, FAMILY, OPERATION} <= raw.keys() or not (version.isascii() and version.isdigit()):
        return None
    return Labels(raw[NODE], raw[FAMILY], int(version), raw[OPERATION])


def is_ours(raw: Mapping[str, str] | None) -> bool:
    """Tell if gpudock made it: for a family, or as a helper."""
    return read(raw) is not None or HELPER in (raw or {})


def without(raw: Mapping[str, str] | None) -> dict[str, str]:
    """Leave out the labels that are gpudock's."""
    return {label: value for label, value in (raw or {}).items() if label not in _OF_CONTAINERS}


def blanked() -> list[str]:
    """Write instructions that blank these labels in an image: containers that anybody makes of it are not ours."""
    return [f'LABEL {label}=""' for label in _OF_CONTAINERS]


def committed(name: str) -> str:
    """Write the instruction that notes in an image which container, by its versioned name, it is a commit of."""
    return f'LABEL {COMMIT}="{name}"'


def read_commit(raw: Mapping[str, str] | None) -> str | None:
    """Read the name that `committed` noted; None in any other image."""
    return (raw or {}).get(COMMIT) or None


def read_maker(raw: Mapping[str, str] | None) -> str | None:
    """Read the operation that `committed_by` noted; None in any other image."""
    return (raw or {}).get(COMMITTED_BY) or None


def committed_by(operation: str) -> str:
    """Write the instruction that notes in an image which operation's commit made it."""
    return f'LABEL {COMMITTED_BY}="{operation}"'


def write_volume(labels: Labels, driver: str, size: int) -> dict[str, str]:
    """Write a volume's `labels` in Docker's form, with the driver that made it and its size in bytes."""
    return {**write(labels, ()), DRIVER: driver, SIZE: str(size)}


def read_volume(raw: Mapping[str, str] | None) -> tuple[str, int] | None:
    """Read the driver, known here or not, and the size that `write_volume` noted; None for somebody else's volume."""
    size, driver = (raw or {}).get(SIZE, ""), (raw or {}).get(DRIVER, "")
    return (driver, int(size)) if driver and size.isascii() and size.isdigit() else None


def helper(node: str, operation: str) -> dict[str, str]:
    """Write the labels of a container that serves an operation for a moment; `read` does not take it for a family's."""
    return {NODE: node, OPERATION: operation, HELPER: "volume"}


def wanted(node: str, family: str | None, operation: str | None) -> list[str]:
    """Write the label filters of Docker for one node, and one family or operation if given."""
    values = {NODE: node, FAMILY: family, OPERATION: operation}
    return [f"{label}={value}" for label, value in values.items() if value is not None]

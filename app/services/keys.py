"""The key layout in etcd, in one place (see migrations_notes/). `resource` is CONTAINERS or VOLUMES."""

CONTAINERS, VOLUMES = "containers", "volumes"
OPERATIONS = "/operations/"
HISTORY = "/history/"


def families_prefix(resource: str) -> str:
    """What every record of a kind of resource begins with."""
    return f"/{resource}/"


def family_key(resource: str, family: str) -> str:
    """Where a family's record is."""
    return families_prefix(resource) + family


def versions_prefix(resource: str, family: str) -> str:
    """What every version record of a family begins with."""
    return f"{family_key(resource, family)}/versions/"


def version_key(resource: str, family: str, version: int) -> str:
    """Where the record of one version is."""
    return f"{versions_prefix(resource, family)}{version}"


def operation_key(resource: str, family: str) -> str:
    """Where the one running operation of a family is: its mutex."""
    return f"{OPERATIONS}{resource}/{family}"


def cancellation_key(operation: str) -> str:
    """Exists once somebody asked that the operation with this id be cancelled; goes when it ends."""
    return f"/cancellations/{operation}"


def gpus_prefix(node: str) -> str:
    """What the claims of a node's GPUs begin with."""
    return f"/gpus/{node}/"


def ports_prefix(node: str) -> str:
    """What the claims of a node's host ports begin with."""
    return f"/ports/{node}/"

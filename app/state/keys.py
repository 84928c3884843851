"""The key layout in etcd, in one place (see migrations_notes/). `resource` is CONTAINERS or VOLUMES.

An operation's may be IMAGES too, of which no other records exist: Docker knows them best.
"""

import re

CONTAINERS, VOLUMES, IMAGES = "containers", "volumes", "images"
OPERATIONS = "/operations/"
HISTORY = "/history/"
FAULTS = "/faults/containers/"
META = "/meta/"
# What processes tell of themselves while they run; no part of the state.
NODES = "/nodes/"
OBSERVED = "/observed/"
OBSERVED_GPUS = "/observed/gpus/"
LEFTOVERS, DISKS = "leftovers", "disks"
GPUS, PORTS, HEALTH = "/gpus/", "/ports/", "/health/"
CANCELLATIONS, IDEMPOTENCY = "/cancellations/", "/idempotency/"
NEWEST, ACCEPTED = "/meta/newest/", "/meta/accepted/"
# Exists while a restore runs, or after one that broke off.
RESTORING = "/meta/restoring"
# What the last restore brought back.
RESTORED = "/meta/restored"
# As `int` and `str` turn one into the other; no version or host port has more digits.
_NUMBER = re.compile("0|[1-9][0-9]{0,9}")


def families_prefix(resource: str) -> str:
    """Return the beginning of every key of a kind of resource."""
    return f"/{resource}/"


def family_key(resource: str, family: str) -> str:
    """Return the key of a family's record."""
    return families_prefix(resource) + family


def versions_prefix(resource: str, family: str) -> str:
    """Return the beginning of the keys of a family's versions."""
    return f"{family_key(resource, family)}/versions/"


def version_key(resource: str, family: str, version: int) -> str:
    """Return the key of the record of one version."""
    return f"{versions_prefix(resource, family)}{version}"


def is_version(key: str) -> bool:
    """Tell the record of a version from that of a family."""
    return "/versions/" in key


def family_of(key: str) -> tuple[str, str]:
    """Return the kind of resource and the family that a record is about: its own, a version's, or an operation's."""
    resource, _, rest = key.removeprefix(OPERATIONS).lstrip("/").partition("/")
    return resource, rest.partition("/versions/")[0]


def is_key(key: str) -> bool:
    """Tell if a record may have such a key: it is UTF-8, names something, and has a number where one belongs."""
    match key.split("/")[1:]:
        case [resource, _, "versions", number] if resource in (CONTAINERS, VOLUMES):
            named = _NUMBER.fullmatch(number) is not None
        case ["ports", _, number]:
            named = _NUMBER.fullmatch(number) is not None
        case [*_, name]:
            named = bool(name)
    return named and "\N{REPLACEMENT CHARACTER}" not in key


def identity(key: str) -> dict[str, object]:
    """Return the fields of a record that its key repeats, so that both must agree."""
    match key.split("/")[1:]:
        case [resource, family] if resource in (CONTAINERS, VOLUMES):
            return {"family": family}
        case [resource, family, "versions", version] if resource in (CONTAINERS, VOLUMES):
            return {"family": family, "version": int(version)}
        case ["operations", resource, *family]:
            return {"resource": resource, "family": "/".join(family)}
        case ["history", id_]:
            return {"id": id_}
    return {}


def operations_prefix(resource: str) -> str:
    """Return the beginning of the keys of running operations on a kind of resource."""
    return f"{OPERATIONS}{resource}/"


def operation_key(resource: str, family: str) -> str:
    """Return the key of the one running operation of a family: its mutex."""
    return operations_prefix(resource) + family


def cancellation_key(operation: str) -> str:
    """Exists once somebody asked that the operation with this id be cancelled; goes when it ends."""
    return CANCELLATIONS + operation


def gpus_prefix(node: str) -> str:
    """Return the beginning of the keys of a node's claims of GPUs."""
    return f"{GPUS}{node}/"


def health_prefix(node: str) -> str:
    """Return the beginning of the keys of a node's GPUs out of service."""
    return f"{HEALTH}{node}/"


def ports_prefix(node: str) -> str:
    """Return the beginning of the keys of a node's claims of host ports."""
    return f"{PORTS}{node}/"


def node_key(node: str) -> str:
    """Return the key that tells when a node's reconcile process last saw its Docker, and when that was away."""
    return NODES + node


def reconciler_key(node: str) -> str:
    """Names the process that reconciles a node."""
    return f"{NODES}{node}/reconciler"


def agent_key(node: str) -> str:
    """Tells where a node's reconcile process answers other nodes; exists as long as that lives, and seconds more."""
    return f"{NODES}{node}/agent"


def observed_prefix(kind: str, node: str = "") -> str:
    """Return the beginning of the keys of a node's reports of a kind; of all nodes without one."""
    return f"{OBSERVED}{kind}/{node}/" if node else f"{OBSERVED}{kind}/"


def observed_gpus_key(node: str) -> str:
    """Return the key at which a node reports how its GPUs are."""
    return f"{OBSERVED_GPUS}{node}/all"


def observed_disks_key(node: str) -> str:
    """Return the key at which a node reports how full its disks are."""
    return f"{observed_prefix(DISKS, node)}all"


def newest_key(node: str) -> str:
    """Names the last operation that began on a node; of two that begin at the same moment perhaps the other."""
    return NEWEST + node


def accepted_key(node: str) -> str:
    """Up to which operation an operator accepted that a node's Docker has what etcd does not explain."""
    return ACCEPTED + node

"""The key layout in etcd, in one place (see migrations_notes/). `resource` is CONTAINERS or VOLUMES.

An operation's may be IMAGES too, of which no other records exist: Docker knows them best.
"""

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
GPUS, HEALTH = "/gpus/", "/health/"
# Exists while a restore runs, or after one that broke off.
RESTORING = "/meta/restoring"
# What the last restore brought back.
RESTORED = "/meta/restored"


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


def health_prefix(node: str) -> str:
    """What the records of a node's GPUs out of service begin with."""
    return f"/health/{node}/"


def ports_prefix(node: str) -> str:
    """What the claims of a node's host ports begin with."""
    return f"/ports/{node}/"


def node_key(node: str) -> str:
    """Where it is noted when a node's reconcile process last saw its Docker, and when that was away."""
    return f"/nodes/{node}"


def reconciler_key(node: str) -> str:
    """Names the process that reconciles a node."""
    return f"/nodes/{node}/reconciler"


def agent_key(node: str) -> str:
    """Tells where a node's reconcile process answers other nodes; exists as long as that lives, and seconds more."""
    return f"/nodes/{node}/agent"


def observed_prefix(kind: str, node: str = "") -> str:
    """What a node's reports of its containers, volumes, leftovers or disks begin with; of all nodes without one."""
    return f"{OBSERVED}{kind}/{node}/" if node else f"{OBSERVED}{kind}/"


def observed_gpus_key(node: str) -> str:
    """Where a node reports how its GPUs are."""
    return f"{OBSERVED_GPUS}{node}/all"


def observed_disks_key(node: str) -> str:
    """Where a node reports how full its disks are."""
    return f"{observed_prefix(DISKS, node)}all"


def newest_key(node: str) -> str:
    """Names the last operation that began on a node; of two that begin at the same moment perhaps the other."""
    return f"/meta/newest/{node}"


def accepted_key(node: str) -> str:
    """Up to which operation an operator accepted that a node's Docker has what etcd does not explain."""
    return f"/meta/accepted/{node}"

"""Describe the things that an operator should look after, among them disks that are nearly full."""

from dataclasses import dataclass

# From here on a disk counts as low: bytes free, and their part of the whole.
LOW_BYTES, LOW_PART = 1 << 30, 0.1


@dataclass(frozen=True)
class Alert:
    """One thing to look after: what it is about, why, and what to do.

    `resource` is "gpus", "containers", "volumes", "operations", "nodes", "records" or "disk"; `subject` a GPU's UUID,
    a name, a key in etcd or a directory on `node`. `kind` says in one word what is the matter, `operation` of which
    kind one was that failed or is stuck, `request` the id of the request that asked for it, `id` that of one that is
    stuck. `grave` ones keep somebody from working.
    """

    resource: str
    subject: str
    kind: str
    reason: str
    advice: str | None
    grave: bool = True
    operation: str | None = None
    request: str | None = None
    node: str = ""
    id: str | None = None


@dataclass(frozen=True)
class DiskSpace:
    """Tell the room on the filesystem of a directory, in bytes. A node's own look leaves `node` empty."""

    path: str
    free: int
    total: int
    node: str = ""

    @property
    def low(self) -> bool:
        """Tell if the next large copy may fail."""
        return self.free < max(LOW_BYTES, self.total * LOW_PART)

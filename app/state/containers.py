"""The recorded containers of one node, and who holds its GPUs and host ports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.errors import ContainerNotFound, UnreadableRecord
from app.model.container import FamilyRecord, VersionRecord
from app.model.gpu import Holder
from app.model.messages import Text
from app.model.operation import Operation
from app.ports import Delete, Put, StoreReader
from app.state.codec import encode, readable
from app.state.families import Families, Shape, State, Survey
from app.state.keys import (
    CONTAINERS,
    GPUS,
    OPERATIONS,
    PORTS,
    families_prefix,
    gpus_prefix,
    is_key,
    is_version,
    ports_prefix,
)

FamilyState = State[FamilyRecord, VersionRecord]
Containers = Survey[FamilyRecord, VersionRecord]
_SHAPE = Shape(
    CONTAINERS,
    lambda name: Text("there is no container {name}; GET /api/v1/containers lists them", name=name),
    FamilyRecord,
    VersionRecord,
    ContainerNotFound,
)


@dataclass(frozen=True)
class Claims:
    """Name the holders of the GPUs (by UUID) and the host ports of one node, as of one revision.

    `problems` has those that are held, but the record of the holder cannot be read.
    """

    gpus: dict[str, Holder]
    ports: dict[int, Holder]
    problems: Mapping[str | int, UnreadableRecord] = field(default_factory=dict)

    def gpus_of(self, family: str) -> list[str]:
        """The UUIDs that a family holds."""
        return [uuid for uuid, holder in self.gpus.items() if holder.family == family]

    def ports_of(self, family: str) -> list[int]:
        """The host ports that a family holds."""
        return [port for port, holder in self.ports.items() if holder.family == family]


class Records(Families[FamilyRecord, VersionRecord]):
    """Reads the truth of one node about containers, and builds the writes that change claims."""

    def __init__(self, store: StoreReader, node: str) -> None:
        super().__init__(store, node, _SHAPE)

    def claims(self) -> Claims:
        """Return the holders of this node's GPUs and host ports."""
        gpus, ports = gpus_prefix(self.node), ports_prefix(self.node)
        unread: list[UnreadableRecord] = []
        held = {entry.key: holder for entry, holder in readable(Holder, self._store.list(gpus, ports), unread)}
        return Claims(
            {key.removeprefix(gpus): holder for key, holder in held.items() if key.startswith(gpus)},
            {int(key.removeprefix(ports)): holder for key, holder in held.items() if key.startswith(ports)},
            {_claimed(problem.key): problem for problem in unread},
        )

    def gpu_holders(self) -> dict[str, Holder]:
        """Return the holders of the GPUs of all nodes, by UUID."""
        return {entry.key.rpartition("/")[2]: holder for entry, holder in readable(Holder, self._store.list(GPUS))}

    def needs_image(self, image_id: str) -> bool:
        """Tell if a version or running operation of this node needs that image; so may one that cannot be read."""
        entries = self._store.list(families_prefix(CONTAINERS), OPERATIONS)
        unread: list[UnreadableRecord] = []
        users: list[VersionRecord | Operation] = [
            *(record for _, record in readable(VersionRecord, (e for e in entries if is_version(e.key)), unread)),
            *(
                record
                for _, record in readable(Operation, (e for e in entries if e.key.startswith(OPERATIONS)), unread)
            ),
        ]
        return bool(unread) or any(user.node == self.node and user.image_id == image_id for user in users)

    def claim_keys(self, gpus: Iterable[str], ports: Iterable[int]) -> list[str]:
        """The keys of these GPUs and host ports."""
        return [gpus_prefix(self.node) + uuid for uuid in gpus] + [ports_prefix(self.node) + str(p) for p in ports]

    def put_claims(self, holder: Holder, gpus: Iterable[str], ports: Iterable[int]) -> list[Put]:
        """Writes that make `holder` the holder of these GPUs and host ports."""
        value = encode(holder)
        return [Put(key, value) for key in self.claim_keys(gpus, ports)]

    def held_by(self, operation: Operation) -> tuple[list[str], list[int]]:
        """The GPUs and host ports that an operation claimed and still holds.

        A claim that was lost meanwhile, and had by another then, is that one's.
        """
        claims = self.claims()
        return (
            [uuid for uuid in operation.gpus if _is_of(claims.gpus.get(uuid), operation)],
            [port for port in operation.ports if _is_of(claims.ports.get(port), operation)],
        )

    def release_held(self, operation: Operation) -> list[Delete]:
        """Writes that give up whatever an operation claimed and still holds."""
        return self.release(*self.held_by(operation))

    def release(self, gpus: Iterable[str], ports: Iterable[int]) -> list[Delete]:
        """Writes that give these GPUs and host ports up."""
        return [Delete(key) for key in self.claim_keys(gpus, ports)]


def _is_of(holder: Holder | None, operation: Operation) -> bool:
    return holder is not None and holder.operation == operation.id


def _claimed(key: str) -> str | int:
    """The GPU or host port of a claim."""
    name = key.rpartition("/")[2]
    return int(name) if key.startswith(PORTS) and is_key(key) else name

"""Running containers that lost their GPUs inside, while the GPUs themselves are well.

It happens when systemd applies a container's cgroup anew (systemctl daemon-reload) and thereby forgets the devices
that the NVIDIA runtime had allowed behind its back: nvidia-smi in it then says "Failed to initialize NVML".
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from app.errors import CommandRefused, ContainerNotFound, ContainerNotRunning, Unavailable
from app.model.container import ExecResult, FamilyRecord, VersionRecord
from app.model.gpu_health import LostInside
from app.model.messages import Text
from app.model.names import versioned
from app.model.operation import now
from app.ports import ContainerReader, Delete, Entry, Exec, Put, Store
from app.state.codec import encode, readable, try_read
from app.state.containers import Records
from app.state.keys import CONTAINERS, FAULTS, family_key
from app.state.schema_version import SchemaVersion

TIMEOUT = 5.0
_COMMAND = ("nvidia-smi", "-L")
_CAP = 1 << 16
_AT_ONCE = 8
_NO_NVML = "Failed to initialize NVML"
_NOT_EXECUTED = (126, 127)


@dataclass(frozen=True)
class Subject:
    """A running newest version with the GPUs that it holds."""

    record: VersionRecord
    gpus: tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """The record of a container that was found without its GPUs."""

    entry: Entry
    lost: LostInside


class GpuVisibility:
    """Asks nvidia-smi in the containers of this node, and records what it finds."""

    def __init__(self, store: Store, records: Records, containers: ContainerReader, exec: Exec) -> None:
        self._store = store
        self._records = records
        self._containers = containers
        self._exec = exec
        self._layout = SchemaVersion(store)

    def look(self) -> list[str]:
        """Ask every container that runs and holds GPUs; what changed, in sentences.

        What cannot be told (no nvidia-smi in it, no answer within TIMEOUT) stays as it was recorded.
        """
        subjects = self._subjects()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = dict(zip(subjects, pool.map(self._ask, subjects.values()), strict=True))
        recorded = self._recorded()
        changes = [self._record(subjects[family].record, found[family], recorded.get(family)) for family in subjects]
        others = [(family, fault) for family, fault in recorded.items() if family not in subjects]
        changes += [self._forget(family, fault, "does not run any more") for family, fault in others]
        return [change for change in changes if change]

    def faults(self) -> dict[str, str]:
        """Family to reason, for those whose newest version is the one that was found without its GPUs."""
        found = {family: fault.lost for family, fault in self._recorded().items()}
        current = {family: self._current(family) for family in found}
        return {family: lost.reason for family, lost in found.items() if current[family] == lost.version}

    def _recorded(self) -> dict[str, Fault]:
        found = readable(LostInside, self._store.list(FAULTS))
        return {entry.key.removeprefix(FAULTS): Fault(entry, lost) for entry, lost in found}

    def _subjects(self) -> dict[str, Subject]:
        families, versions = self._records.everything()
        claims = self._records.claims()
        running = {container.id for container in self._containers.list() if container.state == "running"}
        found = {}
        for family in families:
            record = versions[versioned(family.family, family.current)]
            # What is claimed for the next version is not in this one yet.
            gpus = tuple(uuid for uuid in claims.gpus_of(family.family) if uuid in record.gpus)
            if gpus and family.node == self._records.node and record.container_id in running:
                found[family.family] = Subject(record, gpus)
        return found

    def _ask(self, subject: Subject) -> str | None:
        """Say why the container is without its GPUs, "" if it has them all, None if that cannot be told."""
        try:
            result = self._exec.execute(subject.record.container_id, _COMMAND, None, TIMEOUT, _CAP)
        except (CommandRefused, ContainerNotRunning, ContainerNotFound, Unavailable):
            return None
        if result.exit_code is None or result.timed_out or result.exit_code in _NOT_EXECUTED:
            return None
        return reason(result, subject.gpus)

    def _record(self, record: VersionRecord, found: str | None, fault: Fault | None) -> str | None:
        if found:
            return self._flag(record, found, fault)
        if fault is None:
            return None
        if fault.lost.version != record.version:
            return self._forget(record.family, fault, "was replaced")
        return self._forget(record.family, fault, "has its GPUs again") if found == "" else None

    def _flag(self, record: VersionRecord, found: str, fault: Fault | None) -> str | None:
        if fault is not None and (fault.lost.version, fault.lost.reason) == (record.version, found):
            return None
        self._layout.ensure()
        put = Put(FAULTS + record.family, encode(LostInside(record.version, found, now())))
        if self._store.transact({put.key: fault.entry.revision if fault else 0}, [put]) is None:
            return None
        return f"{record.name} has lost its GPUs: {found}"

    def _forget(self, family: str, fault: Fault, why: str) -> str | None:
        """Delete what was noted of a container that is not another node's, or cannot be read."""
        entry = self._store.get(family_key(CONTAINERS, family))
        owner = try_read(FamilyRecord, entry)
        if entry is not None and (owner is None or owner.node != self._records.node):
            return None
        if self._store.transact({fault.entry.key: fault.entry.revision}, [Delete(fault.entry.key)]) is None:
            return None
        return f"{versioned(family, fault.lost.version)}, which had lost its GPUs, {why}"

    def _current(self, family: str) -> int | None:
        record = try_read(FamilyRecord, self._store.get(family_key(CONTAINERS, family)))
        return record.current if record else None


def reason(result: ExecResult, gpus: Sequence[str]) -> str:
    """Say what the output of `nvidia-smi -L` tells to be wrong in a container that holds `gpus`; "" if nothing is."""
    output = f"{result.stdout}\n{result.stderr}"
    if _NO_NVML in output:
        line = next(line for line in output.splitlines() if _NO_NVML in line)
        return Text("nvidia-smi in it says: {line}", line=_readable(line))
    missing = [uuid for uuid in gpus if uuid not in output]
    if not missing:
        return ""
    return Text("nvidia-smi in it does not show {uuids}", uuids=", ".join(missing))


def _readable(line: str) -> str:
    return "".join(char for char in line.strip() if char.isprintable())[:200]

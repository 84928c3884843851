"""Which GPUs and host ports an operation takes: read what is claimed, choose among the rest."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import NotEnoughGpus, PortTaken
from app.model.container import PortMapping, Spec
from app.model.gpu import Gpu, Holder, choose, foreign, split_kept
from app.model.messages import Text
from app.model.operation import Operation
from app.operations.hooks import Measure, Plan
from app.operations.journal import Journal
from app.ports import Host, Inventory
from app.state.containers import Claims, Records
from app.state.gpus import GpuRecords


@dataclass(frozen=True)
class Allocation:
    """What a version gets: `gpus` all it will hold, of which `taken` are new; `freed` are given up at the commit.

    `spec` has its host ports filled in; of those, `new_ports` are to be claimed.
    """

    spec: Spec
    gpus: tuple[str, ...]
    taken: tuple[str, ...]
    freed: tuple[str, ...]
    new_ports: tuple[int, ...]

    def plan(self, operation: Operation, copies: Sequence[Measure] = ()) -> Plan:
        """What `operation` will hold and copy, for whoever asks before it begins."""
        return Plan(operation, self.gpus, [port.host for port in self.spec.ports], copies)


@dataclass(frozen=True)
class Allocator:
    """Chooses GPUs and host ports of one node; the claim itself is etcd's transaction."""

    records: Records
    journal: Journal
    health: GpuRecords
    inventory: Inventory
    host: Host
    port_range: tuple[int, int]
    foreign_memory: int

    def allocate(self, family: str, spec: Spec) -> Allocation:
        """Choose what `family` needs for `spec`, keeping what it holds; NotEnoughGpus or PortTaken if impossible."""
        try:
            return self._allocate(family, spec)
        except NotEnoughGpus:
            if not self.journal.settle_orphans():  # a dead process may hold some
                raise
        return self._allocate(family, spec)

    def _allocate(self, family: str, spec: Spec) -> Allocation:
        claims = self.records.claims()
        gpus, taken, freed = self._gpus(family, spec.gpu_count, claims)
        ports = self._ports(family, spec.ports, claims)
        new_ports = tuple(port for port in ports if port not in claims.ports_of(family))
        return Allocation(spec.with_host_ports(ports), gpus, taken, freed, new_ports)

    def _gpus(self, family: str, count: int, claims: Claims) -> tuple[tuple[str, ...], ...]:
        held = claims.gpus_of(family)
        if count == 0:  # not even a dead NVML keeps a container without GPUs from starting
            return (), (), tuple(held)
        gpus, out = self.inventory.gpus(), self.health.out_of_service()
        usable = [gpu for gpu in gpus if gpu.fault is None and gpu.uuid not in out]
        kept, freed = split_kept(held, {gpu.uuid for gpu in usable}, count)
        free = [gpu.uuid for gpu in usable if self._is_free(gpu, claims)]
        taken = choose(free, count - len(kept), len(gpus), random.SystemRandom())
        return (*kept, *taken), tuple(taken), tuple(freed)

    def _is_free(self, gpu: Gpu, claims: Claims) -> bool:
        return gpu.uuid not in {*claims.gpus, *claims.problems} and not foreign(gpu, None, self.foreign_memory)

    def _ports(self, family: str, ports: tuple[PortMapping, ...], claims: Claims) -> list[int]:
        chosen = [port.host for port in ports if port.host]
        for port in chosen:
            if problem := claims.problems.get(port):
                raise problem
            self._check_port(family, port, claims.ports.get(port))
        taken = {*claims.ports, *chosen, *(port for port in claims.problems if isinstance(port, int))}
        automatic = self._free_ports(sum(1 for port in ports if not port.host), taken)
        return [port.host or automatic.pop() for port in ports]

    def _check_port(self, family: str, port: int, holder: Holder | None) -> None:
        if holder is not None and holder.family == family:
            return
        if holder is not None:
            message = Text(
                "host port {port} is taken by container {family}; use another", port=port, family=holder.family
            )
            raise PortTaken(message, hostPort=port)
        if not self.host.port_free(port):
            message = Text("host port {port} is used by another process on the host; use another", port=port)
            raise PortTaken(message, hostPort=port)

    def _free_ports(self, count: int, taken: set[int]) -> list[int]:
        low, high = self.port_range
        free: list[int] = []
        for port in random.sample(range(low, high + 1), high - low + 1) if count else ():
            if len(free) == count:
                break
            if port not in taken and self.host.port_free(port):
                free.append(port)
        if len(free) < count:
            message = Text("no host port from {low} to {high} is free; widen GPUDOCK_PORT_RANGE", low=low, high=high)
            raise PortTaken(message, hostPort=None)
        return free

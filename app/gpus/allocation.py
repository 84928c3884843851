"""The choice of GPUs and host ports for an operation: read what is claimed, choose among the rest."""

import random
from dataclasses import dataclass

from app.errors import PortTaken
from app.model.container import PortMapping, Spec
from app.model.gpu import Gpu, Holder, choose, foreign, split_kept
from app.model.messages import Text
from app.operations.reader import Reader
from app.state.containers import Claims


@dataclass(frozen=True)
class Allocation:
    """The GPUs and host ports that a version gets.

    `gpus` are all it will hold, of which `taken` are new; `freed` are given up at the commit. `spec` has its host
    ports filled in; of those, `new_ports` are to be claimed.
    """

    spec: Spec
    gpus: tuple[str, ...]
    taken: tuple[str, ...]
    freed: tuple[str, ...]
    new_ports: tuple[int, ...]

    @property
    def ports(self) -> tuple[int, ...]:
        """Every host port that the version will hold."""
        return tuple(port.host for port in self.spec.ports)


def allocate(reader: Reader, family: str, spec: Spec) -> Allocation:
    """Choose what `family` needs for `spec`, keeping what it holds; NotEnoughGpus or PortTaken if impossible.

    The claim itself is etcd's transaction.
    """
    claims = reader.records.claims()
    gpus, taken, freed = _gpus(reader, family, spec.gpu_count, claims)
    ports = _ports(reader, family, spec.ports, claims)
    new_ports = tuple(port for port in ports if port not in claims.ports_of(family))
    return Allocation(spec.with_host_ports(ports), gpus, taken, freed, new_ports)


def _gpus(reader: Reader, family: str, count: int, claims: Claims) -> tuple[tuple[str, ...], ...]:
    held = claims.gpus_of(family)
    if count == 0:  # not even a dead NVML keeps a container without GPUs from starting
        return (), (), tuple(held)
    gpus, out = reader.inventory.gpus(), reader.gpu_records.out_of_service()
    usable = [gpu for gpu in gpus if gpu.fault is None and gpu.uuid not in out]
    kept, freed = split_kept(held, {gpu.uuid for gpu in usable}, count)
    free = [gpu.uuid for gpu in usable if _is_free(reader, gpu, claims)]
    taken = choose(free, count - len(kept), len(gpus), random.SystemRandom())
    return (*kept, *taken), tuple(taken), tuple(freed)


def _is_free(reader: Reader, gpu: Gpu, claims: Claims) -> bool:
    return gpu.uuid not in {*claims.gpus, *claims.problems} and not foreign(gpu, None, reader.settings.foreign_memory)


def _ports(reader: Reader, family: str, ports: tuple[PortMapping, ...], claims: Claims) -> list[int]:
    chosen = [port.host for port in ports if port.host]
    for port in chosen:
        if problem := claims.problems.get(port):
            raise problem
        _check_port(reader, family, port, claims.ports.get(port))
    taken = {*claims.ports, *chosen, *(port for port in claims.problems if isinstance(port, int))}
    automatic = _free_ports(reader, sum(1 for port in ports if not port.host), taken)
    return [port.host or automatic.pop() for port in ports]


def _check_port(reader: Reader, family: str, port: int, holder: Holder | None) -> None:
    if holder is not None and holder.family == family:
        return
    if holder is not None:
        message = Text("host port {port} is taken by container {family}; use another", port=port, family=holder.family)
        raise PortTaken(message, hostPort=port)
    if not reader.host.port_free(port):
        message = Text("host port {port} is used by another process on the host; use another", port=port)
        raise PortTaken(message, hostPort=port)


def _free_ports(reader: Reader, count: int, taken: set[int]) -> list[int]:
    low, high = reader.settings.port_range
    free: list[int] = []
    for port in random.sample(range(low, high + 1), high - low + 1) if count else ():
        if len(free) == count:
            break
        if port not in taken and reader.host.port_free(port):
            free.append(port)
    if len(free) < count:
        message = Text("no host port from {low} to {high} is free; widen GPUDOCK_PORT_RANGE", low=low, high=high)
        raise PortTaken(message, hostPort=None)
    return free

"""A full host: 500 containers, 200 volumes, 64 GPUs and a history, in a real Docker and a real etcd.

Containers are made but, all except those with GPUs, not started: 500 processes would measure this machine's memory.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from app.adapters.docker.client import Clients
from app.adapters.etcd import EtcdStore
from app.adapters.gpus.simulated import SimulatedInventory
from app.adapters.volumes.sized import SizedVolumes
from app.model.container import Bind, ContainerPlan, FamilyRecord, Labels, PortMapping, Spec, VersionRecord
from app.model.gpu import Holder
from app.model.operation import Operation, new_id, now
from app.model.sizes import parse_size
from app.model.volume import NONE, VolumeFamily, VolumePlan, VolumeRecord
from app.ports import Put
from app.state.codec import encode
from app.state.containers import Records
from app.state.keys import CONTAINERS, HISTORY, VOLUMES, family_key, version_key
from tests.support.dockerd import Dockerd
from tests.support.engine import DockerEngine
from tests.support.images import IMAGE

NODE, PREFIX = "load", "/load"
FAMILIES, VOLUME_FAMILIES, GPUS, PER_CONTAINER, PAST = 500, 200, 64, 4, 1000
SIZE = parse_size("20GB")
T = TypeVar("T")
# An etcd transaction may have 128 writes.
_BATCH = 100


def populate(dockerd: Dockerd, store: EtcdStore) -> str:
    """Make everything, and record it as gpudock does; the id of an operation of the history."""
    engine, volumes = DockerEngine(dockerd.url, NODE, "none", 3), SizedVolumes(Clients(dockerd.url), NODE, NONE)
    image = engine.image(IMAGE).id
    held = _chunks(list(SimulatedInventory(GPUS, NODE).uuids()), PER_CONTAINER)

    def volume(number: int) -> list[Put]:
        labels = Labels(NODE, f"vol{number}", 0, new_id())
        volumes.create(VolumePlan(labels, SIZE))
        return _volume(labels)

    def container(number: int) -> list[Put]:
        gpus = tuple(held[number]) if number < len(held) else ()
        plan = ContainerPlan(f"c{number}-0", Labels(NODE, f"c{number}", 0, new_id()), image, _spec(number, gpus), gpus)
        made = engine.create(plan)
        if gpus:
            engine.start(made)
        return _container(Records(store, NODE), plan, made)

    past = [_past(number) for number in range(PAST)]
    with ThreadPoolExecutor(4) as pool:
        _write(store, pool.map(volume, range(VOLUME_FAMILIES)))
        _write(store, pool.map(container, range(FAMILIES)))
    _write(store, [past])
    return str(past[-1].value["id"])


def _spec(number: int, gpus: tuple[str, ...]) -> Spec:
    return Spec(
        image=IMAGE,
        gpu_count=len(gpus),
        binds=(Bind(f"vol{number % VOLUME_FAMILIES}-0", "/data"),),
        env=("USER=somebody", "TOKEN=secret"),
        cmd=("sh", "-c", "sleep 100000"),
        ports=(PortMapping(20000 + number, 22),),
    )


def _container(records: Records, plan: ContainerPlan, made: str) -> list[Put]:
    labels, runs = plan.labels, bool(plan.gpus)
    record = VersionRecord(labels.family, 0, NODE, plan.spec, plan.image_id, made, plan.gpus, {}, None, "create", now())
    family = FamilyRecord(labels.family, NODE, 0, "running" if runs else "stopped", record.created, record.created)
    holder = Holder(labels.family, 0, labels.operation, made)
    ports = [port.host for port in plan.spec.ports] if runs else []
    return [
        Put(family_key(CONTAINERS, family.family), encode(family)),
        Put(version_key(CONTAINERS, family.family, 0), encode(record)),
        *records.put_claims(holder, plan.gpus, ports),
    ]


def _volume(labels: Labels) -> list[Put]:
    record = VolumeRecord(labels.family, 0, NODE, SIZE.text, SIZE.bytes, NONE, None, "create", now())
    family = VolumeFamily(labels.family, NODE, 0, record.created, record.created)
    return [
        Put(family_key(VOLUMES, family.family), encode(family)),
        Put(version_key(VOLUMES, family.family, 0), encode(record)),
    ]


def _past(number: int) -> Put:
    operation = Operation(new_id(), "gpu", f"c{number % FAMILIES}", 0, NODE, "a/1/1", now(), "starting")
    operation = replace(operation.at("copying").at("stopping"), done=1 << 30, total=1 << 30)
    ended = {"ended": now(), "outcome": "done", "error": None, "code": None}
    return Put(HISTORY + operation.id, {**encode(operation), **ended})


def _write(store: EtcdStore, groups: Iterable[list[Put]]) -> None:
    for batch in _chunks([put for group in groups for put in group], _BATCH):
        assert store.transact({}, batch) is not None


def _chunks(items: list[T], size: int) -> list[list[T]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]

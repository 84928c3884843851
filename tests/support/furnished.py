"""A world with a record of every kind, for what concerns all of them."""

from app.bootstrap import Services
from app.errors import RegistryUnreachable
from app.images.pull import PullImage
from app.model.container import Bind, PortMapping, Spec
from app.model.gpu_health import LostInside, xid_fault
from app.model.messages import Text
from app.model.names import Name
from app.model.node import NodeAgent, NodeContact, NodeLeader
from app.model.operation import Kind, now
from app.ports import Put, Store
from app.state.codec import encode
from app.state.gpus import Recorded
from app.state.idempotency import KeyClaim, StoredAnswer
from app.state.keys import FAULTS, agent_key, cancellation_key, node_key, operation_key, reconciler_key
from app.state.notes import Cancellation


def furnish(services: Services, store: Store) -> None:
    """Make containers and volumes with several versions, a running operation, and everything that is noted beside."""
    services.volumes.create("vol", "1MB")
    services.volumes.resize(Name("vol"), "2MB")
    spec = Spec("busybox:test", 2, (Bind("vol-1", "/data"),), ("A=b",), ("sh",), (PortMapping(0, 22),))
    services.containers.create("foo", spec)
    services.containers.change_gpus(Name("foo"), 1)
    services.containers.create("gone", Spec("busybox:test", cmd=("sh",)))
    services.containers.delete(Name("gone"), force=True, erase=False)
    services.containers.create("bar", Spec("busybox:test", 1, cmd=("sh",)))
    services.containers.stop(Name("bar"))
    services.containers.create("busy", Spec("busybox:test", 1, cmd=("sh",)))
    _note(services, store)
    _answer_requests(services)


def _note(services: Services, store: Store) -> None:
    reader = services.operations.runner.reader
    node, owner = reader.node, reader.host.own_token()
    operation = reader.draft(Kind.GPU, "busy", 1)
    store.transact(
        {},
        [
            Put(operation_key("containers", "busy"), encode(operation)),
            Put(cancellation_key(operation.id), encode(Cancellation(now()))),
            Put(FAULTS + "foo", encode(LostInside(1, Text("nvidia-smi in it says: {line}", line="no"), now()))),
            Put(node_key(node), encode(NodeContact(1.0, ((0.5, 0.75),)))),
            Put(reconciler_key(node), encode(NodeLeader(owner, 1.0))),
            Put(agent_key(node), encode(NodeAgent("http://127.0.0.1:1", owner.partition("/")[0], "0.1.0"))),
        ],
    )
    free = next(view.gpu for view in services.gpus.all() if view.free)
    services.gpus.schedule(free.uuid, False)
    broken = next(view.gpu for view in services.gpus.all() if view.free)
    health = services.gpus._health
    drained = health.find(free.uuid).out
    assert drained is not None
    health.write(broken.uuid, drained.faulty(xid_fault(79), 79), Recorded())


def _answer_requests(services: Services) -> None:
    done = services.idempotency.begin("done", "fingerprint")
    assert isinstance(done, KeyClaim)
    services.idempotency.keep(done, StoredAnswer(201, "{}", "/api/v1/containers/foo"))
    services.idempotency.begin("running", "fingerprint")


def fail_once(services: Services, images: object) -> None:
    """Leave an operation that was undone in the history."""
    images.fail_next = RegistryUnreachable(Text("the registry cannot be reached"))  # type: ignore[attr-defined]
    try:
        services.operations.run(PullImage("new"))
    except RegistryUnreachable:
        return

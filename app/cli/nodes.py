"""The nodes of the cluster, for `gpudock doctor`."""

from app.bootstrap import build_backends
from app.cluster.nodes import Nodes
from app.config import Config
from app.errors import DomainError
from app.model.findings import Finding, ok, warning


def examine_nodes(config: Config) -> Finding:
    """Check that every node that ever joined lives, and can say how its things are."""
    try:
        nodes = Nodes(build_backends(config).store, config.node).all()
    except DomainError as exc:
        return warning("nodes", f"not known: {exc.message.partition(';')[0]}", "see to that part first")
    silent = [node.silence for node in nodes.values() if node.silence]
    found = ", ".join(f"{node.name} at {node.url}" for node in nodes.values() if node.url) or "none runs"
    if silent:
        return warning("nodes", f"{found}; {'; '.join(silent)}", "start `gpudock reconcile` there (make run)")
    return ok("nodes", found)

"""The operations that are stuck, for `gpudock doctor`."""

from app.bootstrap import build_backends
from app.config import Config
from app.errors import DomainError
from app.model.findings import Finding, fail, ok, warning
from app.state.operations import OperationRecords


def examine_operations(config: Config) -> Finding:
    """Check that no operation of any node is stuck."""
    try:
        operations = OperationRecords(build_backends(config).store).all_running()
    except DomainError as exc:
        return warning("operations", f"not known: {exc.message.partition(';')[0]}", "see to that part first")
    stuck = [each for each in operations if each.stuck]
    if not stuck:
        return ok("operations", "none is stuck")
    told = "; ".join(f"{each.kind} of {each.name} on {each.node} ({each.id}) is stuck: {each.stuck}" for each in stuck)
    return fail("operations", told, f"gpudock operation show {stuck[0].id}")

"""The records in etcd that cannot be read, for `gpudock doctor`."""

from app.bootstrap import build_backends
from app.config import Config
from app.errors import DomainError
from app.model.findings import Finding, fail, ok, warning
from app.ports import Store
from app.state.unreadable import UnreadableRecords

_NAMED = 5


def examine_records(config: Config) -> Finding:
    """Examine whether every record in etcd can be read."""
    return examine(build_backends(config).store)


def examine(store: Store) -> Finding:
    """Examine the records in `store`."""
    try:
        found = UnreadableRecords(store).all()
    except DomainError as exc:
        return warning("records", f"not known: {exc.message.partition(';')[0]}", "see to that part first")
    if not found:
        return ok("records", "all that etcd holds can be read")
    told = [f"{each.key} cannot be read ({each.problem})" for each in found[:_NAMED]]
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    return fail("records", "; ".join([*told, *more]), "mend them in etcd, restore a backup, or delete them there")

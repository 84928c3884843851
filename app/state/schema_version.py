"""The version of the key layout in etcd (migrations_notes/ tells what each one is)."""

from app.errors import RestoreUnfinished, Unavailable
from app.model.messages import Text
from app.ports import Put, Store
from app.state.keys import RESTORING

VERSION = 2
KEY = "/meta/schema"


class SchemaVersion:
    """Makes sure, before something is begun, that this process and the stored keys speak of the same layout.

    It looks each time: etcd may be restored, or emptied, under a running process.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def ensure(self) -> None:
        """Mark an empty prefix, or one of layout 1, with VERSION; Unavailable if another version wrote there.

        RestoreUnfinished while there is only a part of a backup. Layout 2 adds keys and fields to layout 1 and changes
        none, so the mark is the whole upgrade: it keeps an older gpudock from undoing what it does not understand.
        """
        entry = self._store.get(KEY)
        if entry is None or entry.value.get("schema") == 1:
            expected = {KEY: entry.revision if entry else 0, RESTORING: 0}
            self._store.transact(expected, [Put(KEY, {"schema": VERSION})])
            entry = self._store.get(KEY)
        if entry is None:
            raise unfinished()
        found = entry.value.get("schema")
        if found != VERSION:
            raise Unavailable(
                "etcd",
                Text(
                    "the keys in etcd have layout {found}, this gpudock knows {known}; see migrations_notes/",
                    found=str(found),
                    known=VERSION,
                ),
            )


def unfinished() -> RestoreUnfinished:
    """The refusal while etcd holds only a part of a backup."""
    return RestoreUnfinished(
        "etcd",
        Text("a restore runs or broke off, so that etcd holds only a part; run gpudock restore FILE --replace (again)"),
    )

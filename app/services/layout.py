"""The version of the key layout in etcd (migrations_notes/ tells what each one is)."""

from app.errors import Unavailable
from app.ports import Put, Store

VERSION = 1
KEY = "/meta/schema"


class Layout:
    """Makes sure, before this process's first write, that it and the stored keys speak of the same layout."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = False

    def ensure(self) -> None:
        """Mark an empty prefix with VERSION; Unavailable if another version of gpudock wrote there."""
        if self._known:
            return
        self._store.transact({KEY: 0}, [Put(KEY, {"schema": VERSION})])
        entry = self._store.get(KEY)
        found = entry.value["schema"] if entry else None
        if found != VERSION:
            raise Unavailable(
                "etcd", f"the keys in etcd have layout {found}, this gpudock knows {VERSION}; see migrations_notes/"
            )
        self._known = True

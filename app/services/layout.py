"""The version of the key layout in etcd (migrations_notes/ tells what each one is)."""

from app.errors import Unavailable
from app.ports import Put, Store

VERSION = 2
KEY = "/meta/schema"


class Layout:
    """Makes sure, before this process's first write, that it and the stored keys speak of the same layout."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = False

    def ensure(self) -> None:
        """Mark an empty prefix, or one of layout 1, with VERSION; Unavailable if another version wrote there.

        Layout 2 adds keys and fields to layout 1 and changes none, so the mark is the whole upgrade: it keeps an
        older gpudock from undoing what it does not understand.
        """
        if self._known:
            return
        entry = self._store.get(KEY)
        if entry is None or entry.value["schema"] == 1:
            self._store.transact({KEY: entry.revision if entry else 0}, [Put(KEY, {"schema": VERSION})])
            entry = self._store.get(KEY)
        found = entry.value["schema"] if entry else None
        if found != VERSION:
            raise Unavailable(
                "etcd", f"the keys in etcd have layout {found}, this gpudock knows {VERSION}; see migrations_notes/"
            )
        self._known = True

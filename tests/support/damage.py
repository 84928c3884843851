"""Damage to records: what hypothesis may put in the place of one, or of a part of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.support.memory_store import MemoryStore

Path = tuple[str | int, ...]
GONE = object()
NO_JSON = ("", "{", "gpudock", '{"family": "foo",', "\x00")
_SIMPLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["x" * (1 << 20), "foo", "foo-1", "../..", "running", "stopped", "removed", "done"]),
)
JSON = st.recursive(
    _SIMPLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@dataclass(frozen=True)
class Damage:
    """What happens to a record: `text` comes in its place, or `value` in that of a part of it (GONE: nothing).

    Which record and which part are numbers, to be taken modulo how many there are.
    """

    record: int
    part: int
    text: str | None
    value: Any

    def do(self, store: MemoryStore, keys: Sequence[str]) -> str:
        """Damage one of the records with these keys, and return its key."""
        key = keys[self.record % len(keys)]
        entry = store.get(key)
        assert entry is not None
        store.damage(key, self._partly(entry.value) if self.text is None else self.text)
        return key

    def _partly(self, value: dict[str, Any]) -> str:
        damaged = json.loads(json.dumps(value))
        paths = sorted(_paths(damaged), key=str)
        *way, last = paths[self.part % len(paths)]
        inner: Any = damaged
        for step in way:
            inner = inner[step]
        if self.value is GONE:
            del inner[last]
        else:
            inner[last] = self.value
        return json.dumps(damaged)


_NUMBERS = st.integers(0, 10_000)
DAMAGES = st.builds(Damage, _NUMBERS, _NUMBERS, st.none(), st.just(GONE) | JSON) | st.builds(
    Damage, _NUMBERS, _NUMBERS, st.sampled_from(NO_JSON) | JSON.map(json.dumps), st.none()
)


def _paths(value: Any, above: Path = ()) -> Iterator[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*above, name)
        yield from _paths(one, (*above, name))

"""Turn records into the JSON that etcd holds, and back.

Unknown fields are kept in the record's `extra` and written back where they were; missing ones take their defaults. A
value of another type or size than its field has makes the whole record unreadable. `python -m bench records` measures
it; bench/README.md has the figures, and says why cattrs does the work.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

import structlog
from cattrs import BaseValidationError

from app.errors import UnreadableRecord
from app.model.messages import Text, joined
from app.ports import Entry
from app.state.converter import CONVERTER, Wrong, problems, shown
from app.state.keys import identity, is_key

log = structlog.get_logger()
T = TypeVar("T")
Json = dict[str, Any]
SCHEMA = 1


def encode(record: object) -> Json:
    """Return `record` as a dict of JSON, with the schema number."""
    return {"schema": SCHEMA, **cast(Json, CONVERTER.unstructure(record))}


def decode(cls: type[T], value: Mapping[str, Any], key: str) -> T:
    """Read a record of that class from what `encode`, of any version of gpudock, made of it.

    Raises UnreadableRecord, which names `key`, where the value is in etcd.
    """
    try:
        if (schema := value.get("schema", SCHEMA)) != SCHEMA:
            raise Wrong(Text("it has schema {found}, this gpudock knows {known}", found=shown(schema), known=SCHEMA))
        return CONVERTER.structure(value, cls)
    except (BaseValidationError, Wrong) as exc:
        raise unreadable(key, joined(problems(exc))) from exc


def read(cls: type[T], entry: Entry) -> T:
    """Read the record of that class in `entry`. Raises UnreadableRecord."""
    if not is_key(entry.key):
        raise unreadable(entry.key, Text("no record of gpudock has such a key"))
    if entry.text is not None:
        raise not_json(entry)
    found = decode(cls, entry.value, entry.key)
    for name, value in identity(entry.key).items():
        if getattr(found, name) != value:
            raise unreadable(entry.key, Text("{field}: the key says something else", field=name))
    return found


def not_json(entry: Entry) -> UnreadableRecord:
    """Return the refusal of what is no JSON object."""
    return unreadable(entry.key, Text("it is not a JSON object, or nests too deep"))


def try_read(cls: type[T], entry: Entry | None) -> T | None:
    """Read the record in `entry`; None if there is none, or it cannot be read, which is then logged."""
    try:
        return read(cls, entry) if entry else None
    except UnreadableRecord as exc:
        _log(exc.key, exc.problem)
        return None


def readable(
    cls: type[T], entries: Iterable[Entry], problems: list[UnreadableRecord] | None = None
) -> Iterator[tuple[Entry, T]]:
    """Read the records that can be read, each with its entry; the others are logged, and their errors in `problems`."""
    for entry in entries:
        try:
            yield entry, read(cls, entry)
        except UnreadableRecord as exc:
            _log(exc.key, exc.problem)
            if problems is not None:
                problems.append(exc)


@lru_cache(maxsize=1000)
def _log(key: str, problem: str) -> None:
    """Log the same problem once: a list is asked for every few seconds, and the cache remembers what it told."""
    log.warning("a record cannot be read", key=key, problem=problem)


def unreadable(key: str, problem: Text) -> UnreadableRecord:
    """Return the error for the record at `key` that cannot be used as it is."""
    message = Text(
        "the record {key} in etcd cannot be read ({problem}); mend it, restore a backup, or delete it there",
        key=key,
        problem=problem,
    )
    return UnreadableRecord(message, key=key, problem=problem)

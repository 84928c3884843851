"""The file of a backup: one JSON object, a key on each line, with a checksum over all of it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import BackupDamaged, BackupUnsuitable
from app.model.messages import Text

FORMAT = 1


@dataclass(frozen=True)
class Backup:
    """The state below `prefix` in etcd as of one revision; `keys` maps each key, without the prefix, to its value.

    `layout` is the version of the key layout, `time` ISO 8601 in UTC, `revision` that of the newest change.
    """

    prefix: str
    nodes: tuple[str, ...]
    layout: int
    revision: int
    time: str
    keys: Mapping[str, Mapping[str, Any]]

    @property
    def operations(self) -> list[Mapping[str, Any]]:
        """The operations that were running."""
        return [value for key, value in self.keys.items() if key.startswith("/operations/")]

    def __str__(self) -> str:
        families = [key for key in self.keys if key.count("/") == 2]
        containers = sum(key.startswith("/containers/") for key in families)
        volumes = sum(key.startswith("/volumes/") for key in families)
        return (
            f"{len(self.keys)} keys as of {self.time} (revision {self.revision}): {containers} families of containers, "
            f"{volumes} of volumes, {len(self.operations)} running operations"
        )


def render(backup: Backup) -> str:
    """The file's text."""
    header = _header(backup)
    header["sha256"] = _checksum(header, backup.keys)
    return "".join(_lines(header, backup.keys))


def parse(text: str) -> Backup:
    """The backup in a file's text. Raises BackupDamaged, or BackupUnsuitable for another format."""
    try:
        raw = json.loads(text)
        header, keys = raw["header"], raw["keys"]
        written = header["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise BackupDamaged(Text("this is no backup, or not all of it; take another file")) from exc
    if written != FORMAT:
        raise BackupUnsuitable(
            Text(
                "the backup has format {written}, this gpudock knows {known}; use the one that wrote it",
                written=str(written),
                known=FORMAT,
            )
        )
    checksum = header.pop("sha256", None)
    if not isinstance(keys, dict) or header.get("count") != len(keys) or checksum != _checksum(header, keys):
        raise BackupDamaged(
            Text("the backup is not as it was written (its count or checksum differs); take another file")
        )
    return Backup(
        prefix=header["prefix"],
        nodes=tuple(header["nodes"]),
        layout=header["layout"],
        revision=header["revision"],
        time=header["time"],
        keys=keys,
    )


def _header(backup: Backup) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "prefix": backup.prefix,
        "nodes": list(backup.nodes),
        "layout": backup.layout,
        "revision": backup.revision,
        "time": backup.time,
        "count": len(backup.keys),
    }


def _checksum(header: Mapping[str, Any], keys: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([header, keys], sort_keys=True).encode()).hexdigest()


def _lines(header: Mapping[str, Any], keys: Mapping[str, Any]) -> Iterator[str]:
    yield f'{{"header": {json.dumps(header)},\n"keys": {{'
    separator = "\n"
    for key in sorted(keys):
        yield f"{separator}{json.dumps(key)}: {json.dumps(keys[key])}"
        separator = ",\n"
    yield "\n}}\n"

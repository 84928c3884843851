"""A container's chain of versions, told as what changed from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.containers.queries import VersionView
from app.model.container import Spec, VersionRecord
from app.model.redaction import is_secret, masked_command
from app.model.spec_diff import Difference, differences

HIDDEN = "••••••"


@dataclass(frozen=True)
class TimelineEntry:
    """One version: what is other than in the version before it, its layer's size in bytes, and where the reader is.

    `size` is None if it is not known (yet). `gap` is True if versions between it and the one before were deleted.
    """

    version: VersionView
    changes: Sequence[Difference]
    size: int | None
    here: bool
    newest: bool
    first: bool
    gap: bool


def timeline(versions: Sequence[VersionView], shown: VersionRecord, sizes: Mapping[str, int]) -> list[TimelineEntry]:
    """The steps of a container with these versions (newest first), newest first."""
    before = [*versions[1:], None]
    return [
        TimelineEntry(
            version=version,
            changes=_changes(previous, version),
            size=sizes.get(version.record.name),
            here=version.record.version == shown.version,
            newest=version is versions[0],
            first=previous is None,
            gap=previous is not None and previous.record.version != version.record.version - 1,
        )
        for version, previous in zip(versions, before, strict=True)
    ]


def _changes(previous: VersionView | None, version: VersionView) -> list[Difference]:
    if previous is None:
        return []
    return changes(previous.record.spec, version.record.spec)


def changes(old: Spec, new: Spec) -> list[Difference]:
    """Return the differences of `new` from `old`, without the values of secrets."""
    found = (_without_secrets(change) for change in differences(old, new))
    return [
        replace(change, before=_command(old), after=_command(new)) if change.kind == "command" else change
        for change in found
    ]


def command(spec: Spec, revealed: bool = False) -> tuple[str, ...]:
    """The words of its command; secrets are masked unless `revealed`."""
    return spec.cmd if revealed else masked_command(spec.cmd, HIDDEN)


def _command(spec: Spec) -> str | None:
    return " ".join(command(spec)) or None


def _without_secrets(change: Difference) -> Difference:
    if change.kind != "env" or not any(
        is_secret(change.subject, value or "") for value in (change.before, change.after)
    ):
        return change
    return replace(change, before=change.before and HIDDEN, after=change.after and HIDDEN)

"""The actions of a pass and their reasons: decided from the snapshot alone, so that they can be printed too."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.agent.leftovers import RetainedFiles
from app.agent.snapshot import FamilySnapshot, HeldClaim, Snapshot
from app.model.container import Inspected, Observed, VersionRecord
from app.model.messages import Text

# What an operator, Docker or a shutdown ends a process with. A crash (SIGSEGV, …) is the program's own.
_BY_HAND = {128 + number for number in (signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM)}
# Docker's clock and ours are the same; but that of a pass is read a little after what it saw. A Docker that has just
# come back may still end what outlived it, after it has told that it is there.
_BEFORE, _AFTER = 2.0, 10.0
# Kinds of actions that nobody waits for.
LEFTOVERS = DISCARD, RELEASE_IMAGE, REMOVE_VOLUME, REMOVE_IMAGE = (
    "discard",
    "release image",
    "remove volume",
    "remove image",
)
_TOO_LATE = Text("Docker made it when its operation had been undone already")
Outages = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Action:
    """One thing to do, to what, and why. `kind` is settle, start, remove, stop, release or one of LEFTOVERS.

    What it is about is there too: a container's id, a claim, what is set aside, or the operation that made it.
    """

    kind: str
    target: str
    reason: str
    container: str | None = None
    claim: HeldClaim | None = None
    retained: RetainedFiles | None = None
    operation: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.target}: {self.reason}"


def plan(snapshot: Snapshot, outages: Outages) -> list[Action]:
    """The actions of a pass. `outages` are the times (seconds since 1970) when Docker was away, the last few."""
    urgent = [*_settle(snapshot), *_stop(snapshot), *_release(snapshot), *_remove(snapshot), *_start(snapshot, outages)]
    return [*urgent, *_tidy(snapshot)]


def why_ended(container: Inspected, outages: Outages) -> Text | None:
    """Say why a container that should run ended through no doing of its own; None if its program ended by itself."""
    if not container.started:
        return Text("it was never started")
    if container.out_of_memory:
        return None
    if container.ended is not None and any(a - _BEFORE <= container.ended <= b + _AFTER for a, b in outages):
        return Text("it ended when Docker or this host went down")
    if container.exit_code in _BY_HAND:
        return Text("it was ended by hand (exit code {code})", code=container.exit_code)
    return None


def _settle(snapshot: Snapshot) -> Iterator[Action]:
    for operation in snapshot.orphans:
        yield Action("settle", f"{operation.kind} {operation.name}", Text("its process died"))


def _start(snapshot: Snapshot, outages: Outages) -> Iterator[Action]:
    for family in snapshot.families.values():
        ended = snapshot.ended.get(family.current.container_id)
        if ended is None or family.record.family in snapshot.busy:
            continue
        reason = why_ended(ended, outages)
        if reason and _gpus_are_there(snapshot, family.current):
            why = Text("it should run, and {reason}", reason=reason)
            yield Action("start", family.current.name, why, ended.id)


def _gpus_are_there(snapshot: Snapshot, record: VersionRecord) -> bool:
    """Tell whether the version still holds every GPU it was made with, and each is known to be healthy."""
    if not record.spec.gpu_count:
        return True
    held = [claim.gpu for claim in snapshot.claims if claim.gpu and claim.holder.container_id == record.container_id]
    gpus = snapshot.gpus or {}
    return set(held) == set(record.gpus) and all(uuid in gpus and gpus[uuid].fault is None for uuid in held)


def _remove(snapshot: Snapshot) -> Iterator[Action]:
    """Remove what Docker made too late, when its operation had been undone. Whatever else nobody knows is left alone:
    it may be an older version of an erased family, which is its owner's.
    """
    for container in snapshot.containers.values():
        labels = container.labels
        if labels is None or labels.family in snapshot.unclear:
            continue
        if labels.operation in snapshot.undone and snapshot.recorded(container) is None:
            yield Action("remove", container.name, _TOO_LATE, container.id)


def _stop(snapshot: Snapshot) -> Iterator[Action]:
    for container in snapshot.containers.values():
        record = snapshot.recorded(container)
        if record is None or not container.running or record.family in snapshot.busy or _should_run(snapshot, record):
            continue
        if taken := _held_by_others(snapshot, record, container):
            reason = Text("it runs by hand on GPUs that belong to {owners}", owners=", ".join(sorted(taken)))
            yield Action("stop", record.name, reason, container.id)


def _should_run(snapshot: Snapshot, record: VersionRecord) -> bool:
    family = snapshot.families.get(record.family)
    return bool(family and family.record.desired == "running" and family.current.version == record.version)


def _held_by_others(snapshot: Snapshot, record: VersionRecord, container: Observed) -> set[str]:
    return {
        f"{claim.holder.family}-{claim.holder.version}"
        for claim in snapshot.claims
        if claim.gpu in record.gpus and claim.holder.container_id != container.id
    }


def _release(snapshot: Snapshot) -> Iterator[Action]:
    for claim in snapshot.claims:
        family = snapshot.families.get(claim.holder.family)
        if claim.holder.family in snapshot.busy or (family and not _given_up(snapshot, family, claim)):
            continue
        if not _may_use(snapshot, claim):
            yield Action("release", _what(claim), _idle(claim, recorded=family is not None), claim=claim)


def _what(claim: HeldClaim) -> Text:
    if claim.gpu:
        return Text("GPU {uuid}", uuid=claim.gpu)
    return Text("host port {port}", port=claim.key.rpartition("/")[2])


def _idle(claim: HeldClaim, recorded: bool) -> Text:
    owner = f"{claim.holder.family}-{claim.holder.version}"
    if recorded:
        return Text("its holder {owner} does not run and shall not", owner=owner)
    return Text("its holder {owner} is not on record", owner=owner)


def _given_up(snapshot: Snapshot, family: FamilySnapshot, claim: HeldClaim) -> bool:
    """A stopped container keeps its ports and no GPUs, a deleted one neither."""
    return family.record.desired == "removed" or (claim.gpu is not None and family.record.desired == "stopped")


def _may_use(snapshot: Snapshot, claim: HeldClaim) -> bool:
    """Tell whether a container of that family still runs, whatever its record says: then it may be using it."""
    return any(
        container.running and container.labels and container.labels.family == claim.holder.family
        for container in snapshot.containers.values()
    )


def _tidy(snapshot: Snapshot) -> Iterator[Action]:
    left = snapshot.leftovers
    for files in left.retained:
        yield Action(DISCARD, files.name, Text("what was set aside of it is in a newer version"), retained=files)
    for name, operation in left.volumes.items():
        if operation in snapshot.undone:
            yield Action(REMOVE_VOLUME, name, _TOO_LATE, operation=operation)
    for operation in left.commits & snapshot.undone:
        yield Action(REMOVE_IMAGE, f"of commit {operation}", _TOO_LATE, operation=operation)
    for image in left.images:
        yield Action(RELEASE_IMAGE, image, Text("no version and no operation needs it any more"))

"""What adapters and the domain tell people can be translate_errors to its last part, and stays so in the records."""

import errno
import json
import os
from string import Formatter

import pytest

from app.adapters.treecopy.errors import translate_errors
from app.adapters.volumes.errors import as_failure, run
from app.errors import DomainError, LayerCopyFailed, Unavailable, VolumeDeleteFailed
from app.model import container_drift, volume_drift
from app.model.container import Inspected, Spec, VersionRecord
from app.model.drift import Drift, unreachable
from app.model.gpu_health import OutOfService, xid_fault
from app.model.messages import Text, render
from app.model.node import Node
from app.model.volume import VolumeRecord
from app.state.codec import decode, encode

FOO = VersionRecord("foo", 3, "node", Spec("image", 1), "id", "cid", (), {}, 2, "why", "then")
FOO_PATH = "</api/v1/containers/foo-3>"
VOL = VolumeRecord("vol", 2, "node", "20GB", 20 << 30, "none", 1, "why", "then")
FAILURE = Text("The size of {place} could not be found out", place="/place")
KILLED = Inspected("cid", "foo-3", "exited", None, started=True, exit_code=137, ended=0)
OUT_OF_MEMORY = Inspected("cid", "foo-3", "exited", None, started=True, exit_code=1, out_of_memory=True)


def abroad(text: str) -> object:
    """`text` in a language of brackets: where no template had the words, they are left in English."""
    return render(
        text, lambda template: "".join(f"<{{{name}}}>" for _, name, _, _ in Formatter().parse(template) if name)
    )


@pytest.mark.parametrize(
    ("found", "reason", "advice"),
    [
        (container_drift.exited(FOO, KILLED), "<foo-3><<1970-01-01 00:00:00><<137><9>>>", FOO_PATH * 2),
        (container_drift.exited(FOO, OUT_OF_MEMORY), "<foo-3><<1>>", FOO_PATH),
        (container_drift.gpu_unhealthy(FOO, "GPU-1", xid_fault(79)), "<foo-3><GPU-1><<79><>>", FOO_PATH),
        (volume_drift.data_gone(VOL, newest=False), "<vol-2>", "<</api/v1/volumes/vol-2>>"),
        (unreachable("foo-3", Node("other").silence or ""), "<foo-3><<other>>", ""),
    ],
)
def test_every_part_of_a_drift_is_translated(found: Drift, reason: str, advice: str) -> None:
    assert (abroad(found.reason), abroad(found.advice)) == (reason, advice)


@pytest.mark.parametrize(
    ("cause", "failure", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Unavailable, "<</place>>"),
        (OSError(errno.EIO, "Input/output error"), LayerCopyFailed, "<</place>><Input/output error>"),
        (
            OSError(errno.EIO, Text("cp ended with {code}: {why}", code=1, why="x")),
            LayerCopyFailed,
            "<</place>><<1><x>>",
        ),
        (ValueError(Text("{place} is no such directory", place="'x'")), LayerCopyFailed, "<</place>><<'x'>>"),
        (ValueError("embedded null byte"), LayerCopyFailed, "<</place>><embedded null byte>"),
    ],
)
def test_the_cause_of_a_copy_that_fails_is_translated(
    cause: Exception, failure: type[DomainError], message: str
) -> None:
    with pytest.raises(failure) as caught, translate_errors(FAILURE):
        raise cause
    assert abroad(caught.value.message) == message


def test_so_is_that_of_a_program_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)  # a directory in it that one may not read changes the error
    with pytest.raises(LayerCopyFailed) as caught, translate_errors(FAILURE):
        run("gpudock-none-such", timeout=1)
    assert caught.value.message == "The size of /place could not be found out: gpudock-none-such is not installed."
    assert abroad(caught.value.message) == "<</place>><<gpudock-none-such>>"
    with pytest.raises(VolumeDeleteFailed) as kept, as_failure(VolumeDeleteFailed, FAILURE):
        run("false", timeout=1)
    assert abroad(kept.value.message) == "<</place>>"


def test_the_fault_of_a_gpu_stays_so_in_its_record() -> None:
    out = OutOfService("then", 1).faulty(xid_fault(79), 79)
    kept = decode(OutOfService, json.loads(json.dumps(encode(out))), "/health")
    assert kept == out and kept.fault == "XID 79: it has fallen off the bus"
    assert abroad(kept.fault) == "<79><>"


def test_the_sentences_of_older_records_are_read() -> None:
    old = {**encode(OutOfService("then", 1).faulty("it is gone")), "fault": "it is gone"}
    assert decode(OutOfService, old, "/health").fault == "it is gone"
    assert decode(OutOfService, encode(OutOfService("then", 1, schedulable=False)), "/health").fault is None

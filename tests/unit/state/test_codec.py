"""The codec: nothing is lost, missing fields take defaults, and what is not as it should be is told."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

import pytest

from app.cluster import gpus, reports  # noqa: F401  # their records are among the subclasses
from app.errors import UnreadableRecord
from app.model.container import FamilyRecord, PortMapping, Spec, VersionRecord
from app.model.gpu import Holder
from app.model.gpu_health import OutOfService
from app.model.messages import Text
from app.model.operation import Operation, PastOperation
from app.model.record import Record
from app.model.volume import VolumeRecord
from app.ports import Entry
from app.state import idempotency, notes  # noqa: F401  # the same
from app.state.codec import decode, encode, read
from tests.support.filled import filled


def all_records(cls: type[Record] = Record) -> Iterator[type[Record]]:
    for kind in cls.__subclasses__():
        yield kind
        yield from all_records(kind)


RECORDS = sorted(set(all_records()), key=lambda cls: cls.__name__)
every_record = pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)


def stored(record: object) -> dict[str, Any]:
    found = json.loads(json.dumps(encode(record)))
    assert isinstance(found, dict)
    return found


@every_record
def test_every_field_of_every_record_comes_back(cls: type[Record]) -> None:
    record = filled(cls)
    back = decode(cls, stored(record), "/key")
    assert [getattr(back, field.name) for field in fields(cls)] == [
        getattr(record, field.name) for field in fields(cls)
    ]
    assert stored(back) == stored(record)


@every_record
def test_missing_fields_take_their_defaults_and_missing_identities_are_told(cls: type[Record]) -> None:
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    whole = stored(filled(cls))
    names = {"driver": "way"} if cls is VolumeRecord else {}
    least = {names.get(name, name): whole[names.get(name, name)] for name in needed}
    back = decode(cls, least, "/key")
    for field in fields(cls):
        if field.name not in needed:
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            assert getattr(back, field.name) == default
    for name in least:
        with pytest.raises(UnreadableRecord, match=f"/key .*{'driver' if name == 'way' else name}"):
            decode(cls, {key: value for key, value in least.items() if key != name}, "/key")


def test_what_is_stored_is_called_as_ever() -> None:
    volume = stored(filled(VolumeRecord, driver="loop"))
    assert (volume["schema"], volume["way"]) == (1, "loop") and "driver" not in volume and "extra" not in volume
    out = stored(OutOfService("then", 1, schedulable=False, fault=Text("{n} bad pages", n=2)))
    assert (out["by"], out["fault"]) == ("operator", {"text": "{n} bad pages", "values": {"n": 2}})
    assert decode(OutOfService, out, "/health").extra == {}


VERSION = VersionRecord("foo", 1, "node", Spec("busybox", ports=(PortMapping(1, 2),)), "sha256:b", "c0")


@pytest.mark.parametrize(
    ("where", "value", "problem"),
    [
        ("version", "1", "version: a text is not a whole number"),
        ("version", -1, "version: -1 is not from 0"),
        ("version", True, "version: True is not a whole number"),
        ("version", 1.0, "version: 1.0 is not a whole number"),
        ("version", 2**80, "is not from 0"),
        ("family", ["foo"], "family: a list is not a text"),
        ("family", "x" * (1 << 20), "longer than 1024"),
        ("family", "bar", "family: the key says something else"),
        ("gpus", "GPU-1", "gpus: a text is not a list"),
        ("gpus", ["GPU-1"] * 10_001, "longer than 10000"),
        ("gpus", ["GPU-1", None], r"gpus\[1\]: None is not a text"),
        ("anonymous", ["a"], "anonymous: a list is not an object"),
        ("anonymous", {"a": 1}, r"anonymous\[a\]: 1 is not a text"),
        ("spec", None, "spec: None is not an object"),
        ("spec", {"image": "busybox", "ports": [{"host": 70000, "container": 1}]}, r"spec\.ports\[0\]\.host: 70000"),
        ("spec", {"image": "busybox", "ports": [{"container": 1}]}, r"spec\.ports\[0\]\.host: it is missing"),
        ("schema", 2, "it has schema 2, this gpudock knows 1"),
    ],
)
def test_a_wrong_value_is_told_with_its_key_and_place(where: str, value: object, problem: str) -> None:
    key = "/containers/foo/versions/1"
    with pytest.raises(UnreadableRecord, match=problem) as caught:
        read(VersionRecord, Entry(key, {**stored(VERSION), where: value}, 1))
    assert caught.value.key == key and key in caught.value.message


def test_what_a_record_holds_is_not_told() -> None:
    damaged = {**stored(VERSION), "spec": {"image": "busybox", "env": "PASSWORD=secret"}}
    with pytest.raises(UnreadableRecord) as caught:
        decode(VersionRecord, damaged, "/key")
    assert "secret" not in f"{caught.value.message} {caught.value.data}"


@pytest.mark.parametrize("steps", [["ab"], [["claimed"]], [["claimed", "then", "more"]], [{"a": 1, "b": 2}]])
def test_a_row_has_its_values_and_no_others(steps: object) -> None:
    operation = stored(filled(Operation))
    with pytest.raises(UnreadableRecord, match="steps"):
        decode(Operation, {**operation, "steps": steps}, "/key")


@pytest.mark.parametrize("error", [{"text": "{a}", "values": {"b": 1}}, {"text": 1, "values": {}}, {"values": {}}, 7])
def test_a_text_that_cannot_be_made_again_is_told(error: object) -> None:
    past = stored(filled(PastOperation))
    with pytest.raises(UnreadableRecord, match="error"):
        decode(PastOperation, {**past, "error": error}, "/key")
    assert decode(PastOperation, {**past, "error": "as of old"}, "/key").error == "as of old"


def test_records_can_still_be_compared_and_kept_in_sets() -> None:
    one, other = filled(Holder, family="foo"), FamilyRecord("foo", "node", 1, "running")
    assert len({one, other, decode(Holder, stored(one), "/gpus")}) == 2

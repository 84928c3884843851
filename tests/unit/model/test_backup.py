"""The file of a backup: what is read back, and what is refused."""

import json

import pytest

from app.errors import BackupDamaged, BackupUnsuitable
from app.model.backup import Backup, parse, render

KEYS = {
    "/meta/schema": {"schema": 2},
    "/containers/foo": {"family": "foo", "note": "训练 \ud83d \"'\n", "size": 2**60, "part": 0.5, "none": None},
    "/containers/foo/versions/0": {"family": "foo"},
    "/volumes/data": {},
    "/operations/containers/foo": {"id": "1", "kind": "gpu"},
}
BACKUP = Backup("/gpudock", ("a", "b"), 2, 17, "2026-11-24T12:00:00.000+00:00", KEYS)


def test_what_was_written_is_read_back() -> None:
    text = render(BACKUP)
    assert parse(text) == BACKUP
    assert text.isascii()
    assert len(text.splitlines()) == len(KEYS) + 3, "one key on each line, so that two backups can be compared"


def test_it_says_what_is_in_it() -> None:
    assert str(BACKUP) == (
        "5 keys as of 2026-11-24T12:00:00.000+00:00 (revision 17): 1 families of containers, 1 of volumes, "
        "1 running operations"
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"header"', '{"header": 1, "keys": {}}', "[" * 100_000, "\x00"])
def test_what_is_no_backup_is_damaged(text: str) -> None:
    with pytest.raises(BackupDamaged):
        parse(text)


def test_every_lost_or_changed_line_is_noticed() -> None:
    lines = render(BACKUP).splitlines(keepends=True)
    for number, line in enumerate(lines):
        if number not in (0, len(lines) - 1):
            with pytest.raises(BackupDamaged):
                parse("".join([*lines[:number], *lines[number + 1 :]]))
        for old, new in (("foo", "fox"), ("2026", "2025"), ("17", "18"), ('"b"', '"c"')):
            if old in line:
                with pytest.raises(BackupDamaged):
                    parse("".join([*lines[:number], line.replace(old, new), *lines[number + 1 :]]))
    with pytest.raises(BackupDamaged):
        parse(render(BACKUP)[:-20])


def test_keys_that_are_no_object_are_damaged() -> None:
    header = json.loads(render(BACKUP))["header"]
    for keys in (None, 5, [], "text"):
        with pytest.raises(BackupDamaged):
            parse(json.dumps({"header": header, "keys": keys}))


def test_another_format_is_told_before_the_checksum() -> None:
    with pytest.raises(BackupUnsuitable, match="format 2"):
        parse(render(BACKUP).replace('"format": 1', '"format": 2'))

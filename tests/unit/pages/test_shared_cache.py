"""What pages remember: bounded, shared by the workers of one server, and never in the way of a page."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.model.messages import Text
from app.web.last_known_cache import LastKnown
from app.web.shared_cache import DIRECTORY, SharedCache, shared_directory

MB = 1 << 20


def cache(path: Path | None = None, most: int = 10, most_bytes: int = MB, seconds: float = 60.0) -> SharedCache:
    return SharedCache(path, most, most_bytes, seconds)


def value(found: tuple[object, float] | None) -> object:
    assert found is not None
    return found[0]


@pytest.mark.parametrize("place", ["file", None])
def test_it_keeps_the_newest_within_its_bounds(tmp_path: Path, place: str | None) -> None:
    kept = cache(tmp_path / place if place else None, most=3, most_bytes=MB)
    assert all(kept.put(f"k{number}", number) for number in range(5))
    assert [kept.get(f"k{number}") is None for number in range(5)] == [True, True, False, False, False]
    assert kept.put("k2", "again") and kept.put("k5", 5)
    assert value(kept.get("k2")) == "again" and kept.get("k3") is None
    for key in ("a", "b", "c"):
        assert kept.put(key, key * (MB // 3))
    assert kept.get("a") is None or kept.get("k5") is None
    assert value(kept.get("c")) == "c" * (MB // 3) and kept.get("k2") is None
    assert not kept.put("large", "x" * MB) and kept.get("large") is None


def test_what_is_too_old_is_gone_and_what_is_not_newer_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    kept = cache(seconds=900)
    kept.put("k", "v")
    now[0] += 899
    assert kept.get("k") == ("v", 1000.0) and kept.get("k", after=1000.0) is None
    now[0] += 1
    assert kept.get("k") is None


def test_two_processes_see_the_same(tmp_path: Path) -> None:
    one, two = cache(tmp_path / "s"), cache(tmp_path / "s")
    said = Text("no container {name} exists", name="{foo}")
    one.put("k", said)
    found = value(two.get("k"))
    assert found == said and isinstance(found, Text) and (found.template, found.values) == (said.template, said.values)
    two.put("k", 2)
    assert value(one.get("k")) == 2


def test_threads_of_two_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    caches = [cache(tmp_path / "s", most=1000) for _ in range(2)]
    outcomes: list[bool] = []

    def fill(number: int) -> None:
        outcomes.extend(caches[number % 2].put(f"{number}-{turn}", turn) for turn in range(20))

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 160
    assert all(value(caches[0].get(f"{number}-19")) == 19 for number in range(8))


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_bytes(b"no database at all" * 99), lambda path: path.mkdir()], ids=["junk", "dir"]
)
def test_a_place_that_cannot_be_used_is_no_error(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    spoil(tmp_path / "s")
    spoiled = cache(tmp_path / "s")
    assert not spoiled.put("k", 1) and spoiled.get("k") is None
    assert not cache(tmp_path / "absent" / "s").put("k", 1)


def test_a_damaged_file_never_gives_another_value(tmp_path: Path) -> None:
    path, generator = tmp_path / "s", random.Random(5)
    cache(path).put("k", ["value"] * 100)
    whole = path.read_bytes()
    outcomes = set()
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged)
        outcomes.add(repr(cache(path).get("k"))[:10])
    assert "None" in outcomes and all(outcome in ("None", "(['value',") for outcome in outcomes), outcomes


def test_a_process_remembers_by_itself_and_only_so_much() -> None:
    memory = LastKnown(most=2)
    for question in ("a", "b", "c"):
        memory.remember(question, question.upper())
    assert memory.recall("a") is None
    found = memory.recall("b")
    assert found is not None and found[0] == "B" and 0 <= found[1] < 5


def test_the_newest_answer_of_all_workers_is_told_with_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    one, two = (LastKnown(cache(tmp_path / "s", seconds=1e9)) for _ in range(2))
    question = ("containers", frozenset({"only"}), 5)
    assert one.recall(question) is None
    one.remember(question, "first")
    now[0] += 3
    assert two.recall(question) == ("first", 3.0)
    one.remember(question, "second")  # not shared yet: pages are polled all the time
    assert (one.recall(question), two.recall(question)) == (("second", 0.0), ("first", 3.0))
    now[0] += 7
    one.remember(question, "third")
    assert two.recall(question) == ("third", 0.0)
    now[0] += 1
    two.remember(question, "fourth")
    assert one.recall(question) == ("third", 1.0), "it was told a second ago"
    assert two.recall(question) == ("fourth", 0.0)


def test_only_a_directory_of_one_s_own_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIRECTORY, raising=False)
    assert shared_directory() is None
    for mode, expected in ((0o700, tmp_path), (0o770, None), (0o701, None)):
        tmp_path.chmod(mode)
        monkeypatch.setenv(DIRECTORY, str(tmp_path))
        assert shared_directory() == expected
    monkeypatch.setenv(DIRECTORY, str(tmp_path / "gone"))
    assert shared_directory() is None

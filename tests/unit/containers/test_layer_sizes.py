"""The sizes of layers: measured beside the requests, remembered, and measured again when they are old."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.containers import layer_sizes
from app.containers.layer_sizes import LayerSizes
from app.errors import LayerCopyFailed
from app.model.container import VersionRecord
from app.model.names import parse
from tests.support.volumes import wait_for
from tests.support.world import World, spec

LONG = 20.0


@pytest.fixture
def sizes(world: World) -> LayerSizes:
    world.services.containers.create("foo", spec())
    world.files("foo-0")["/x"] = "x" * 1000
    return LayerSizes(world.layers, "test-node")


def records(world: World) -> Sequence[VersionRecord]:
    return world.services.containers.records.versions("foo")


def test_a_size_is_told_as_soon_as_it_is_known(world: World, sizes: LayerSizes) -> None:
    sizes.of(records(world))
    wait_for(lambda: sizes.of(records(world)) == {"foo-0": 1000})
    assert sizes.of([]) == {}


def test_nobody_waits_longer_than_he_wants(world: World, sizes: LayerSizes, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, measure = threading.Event(), world.layers.measure
    monkeypatch.setattr(world.layers, "measure", lambda path: measure(path) if may_go_on.wait(LONG) else (0, 0))
    assert sizes.of(records(world), patience=0.01) == {}
    may_go_on.set()
    assert sizes.of(records(world), patience=LONG) == {"foo-0": 1000}


def test_all_versions_are_measured_also_those_that_were_set_aside(world: World, sizes: LayerSizes) -> None:
    world.services.containers.change_gpus(parse("foo"), 1)
    world.files("foo-1")["/y"] = "y" * 500
    world.services.containers.delete(parse("foo-1"), force=True, erase=False)
    assert sizes.of(records(world), LONG) == {"foo-0": 1000, "foo-1": 1500}


def test_what_is_not_here_or_cannot_be_measured_is_left_out(
    world: World, sizes: LayerSizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = records(world)
    gone = replace(record, family="gone", container_id="0" * 64)
    assert sizes.of([replace(record, node="elsewhere"), gone, record], LONG) == {"foo-0": 1000}

    def refuse(path: str) -> tuple[int, int]:
        raise LayerCopyFailed(f"{path} is no layer")

    monkeypatch.setattr(world.layers, "measure", refuse)
    assert LayerSizes(world.layers, "test-node").of([record], LONG) == {}


def test_an_old_size_is_told_while_it_is_measured_again(
    world: World, sizes: LayerSizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_sizes, "_MAX_AGE", 0.0)
    monkeypatch.setattr(layer_sizes, "_RARELY", 0)
    assert sizes.of(records(world), LONG) == {"foo-0": 1000}
    world.files("foo-0")["/z"] = "z"
    wait_for(lambda: sizes.of(records(world)) == {"foo-0": 1001})


def test_a_size_is_not_measured_again_before_it_is_old(
    world: World, sizes: LayerSizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_sizes, "_MAX_AGE", 600.0)
    assert sizes.of(records(world), LONG) == {"foo-0": 1000}
    world.files("foo-0")["/z"] = "z"
    for _ in range(50):
        assert sizes.of(records(world), LONG) == {"foo-0": 1000}


def test_only_so_many_are_remembered(world: World, sizes: LayerSizes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_sizes, "_MOST", 2)
    (record,) = records(world)
    for number in range(5):
        sizes.of([replace(record, container_id=str(number))], LONG)
    assert list(sizes._sizes) == ["3", "4"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_a_defect_sizes_are_measured_again(
    world: World, sizes: LayerSizes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.delattr(type(world.layers), "measure")
        assert sizes.of(records(world), patience=0.05) == {}
        wait_for(lambda: not sizes._working)
    assert sizes.of(records(world), LONG) == {"foo-0": 1000}

"""Volumes and the containers on them, over working fakes."""

from dataclasses import replace
from typing import Any

import pytest

from app import errors
from app.containers import create
from app.model.container import Bind
from app.model.names import Name
from app.model.volume import NONE
from app.ports import Put
from tests.support.world import CONFIG, World, make_world, spec

OLD, NEW = Bind("vol-0", "/vol"), Bind("vol-1", "/vol")


@pytest.fixture
def vol(world: World) -> World:
    world.services.volumes.create("vol", "64KB")
    world.volumes.write("vol-0", "a", "first")
    return world


@pytest.fixture
def foo(vol: World) -> World:
    vol.services.containers.create("foo", spec(binds=(OLD,), gpu_count=1))
    return vol


def files(world: World, name: str) -> dict[str, str]:
    return world.volumes.files[world.volumes.data_path(name)]


def resize(world: World, size: str = "128KB") -> str:
    return world.services.volumes.resize(Name("vol"), size).record.name


def move(world: World) -> bool | None:
    return world.services.containers.change_volume(Name("foo"), OLD, NEW).merged


def state(world: World, name: str) -> str:
    views = world.services.volumes.queries.show(Name("vol")).versions
    return next(view.state for view in views if view.record.name == name)


@pytest.mark.parametrize("size", ["8KB", "1TB"])
def test_a_resize_makes_the_next_version_with_the_data(vol: World, size: str) -> None:
    made = vol.services.volumes.resize(Name("vol", 0), size)
    assert (made.record.name, made.record.size, made.record.parent) == ("vol-1", size, 0)
    assert files(vol, "vol-1") == files(vol, "vol-0") == {"a": "first"}
    assert vol.volumes.synced == ["/volumes/vol-1"] and vol.stored("/operations/") == []


def test_more_than_fits_is_refused_and_changes_nothing(vol: World) -> None:
    vol.volumes.write("vol-0", "big", "x" * 9000)
    with pytest.raises(errors.VolumeTooSmall) as caught:
        resize(vol, "8KB")
    assert caught.value.data == {"used": 9005, "size": 8192}
    vol.volumes.free = 1000
    with pytest.raises(errors.Unavailable, match="free"):
        resize(vol, "1MB")
    assert vol.engine.volumes == {"vol-0"} and vol.stored("/operations/") == []


@pytest.mark.parametrize("step", ["create", "begin", "finish", "sync", "last_change"])
def test_a_failed_resize_leaves_the_old_version_alone(vol: World, step: str) -> None:
    vol.volumes.fail_next[step] = errors.OperationFailed("broken on purpose")
    with pytest.raises(errors.VolumeChangeFailed):
        resize(vol)
    assert vol.engine.volumes == {"vol-0"} and files(vol, "vol-0") == {"a": "first"}
    assert vol.stored("/operations/") == [] and resize(vol) == "vol-1"


def test_a_resize_whose_process_died_is_undone_by_whoever_meets_it(vol: World) -> None:
    vol.services.operations.journal.recover = lambda *_: None  # type: ignore[method-assign]
    vol.volumes.fail_next["finish"] = errors.OperationFailed("killed")
    with pytest.raises(errors.VolumeChangeFailed):
        resize(vol)
    assert vol.engine.volumes == {"vol-0", "vol-1"}
    del vol.services.operations.journal.recover  # type: ignore[method-assign]
    vol.host.alive = {"next-process"}
    vol.host.own_token = lambda: "next-process"  # type: ignore[method-assign]
    assert resize(vol) == "vol-1" and vol.stored("/operations/") == []


def test_while_containers_write_a_resize_settles_for_what_holds_still(foo: World) -> None:
    foo.volumes.fail_next["finish"] = errors.OperationFailed("would fail on what vanishes")
    assert resize(foo) == "vol-1"


def test_a_move_to_the_successor_carries_what_was_written_meanwhile(foo: World) -> None:
    resize(foo)
    foo.volumes.write("vol-0", "later", "second")
    assert move(foo) is True
    assert files(foo, "vol-1") == {"a": "first", "later": "second"}
    assert foo.containers() == {"foo-0": "exited", "foo-1": "running"}
    record, _ = foo.services.volumes.records.entry("vol-1") or pytest.fail("not recorded")
    assert record.merging is None and record.mounted


@pytest.mark.parametrize("who", ["container", "somebody"])
def test_a_successor_that_was_touched_is_left_as_it_is(foo: World, who: str) -> None:
    resize(foo)
    foo.volumes.write("vol-0", "later", "second")
    if who == "container":
        foo.services.containers.create("bar", spec(binds=(NEW,)))
        foo.services.containers.delete(Name("bar"), force=True, erase=True)
    else:
        foo.volumes.write("vol-1", "mine", "third")
    before = files(foo, "vol-1")
    assert move(foo) is False and files(foo, "vol-1") == before and "later" not in before


def test_a_volume_that_is_no_successor_is_mounted_as_it_is(foo: World) -> None:
    foo.services.volumes.create("other", "8KB")
    made = foo.services.containers.change_volume(Name("foo"), OLD, Bind("other-0", "/vol"))
    assert made.merged is None and files(foo, "other-0") == {}
    resize(foo)
    foo.services.volumes.roll_back(Name("vol"), 0)
    made = foo.services.containers.change_volume(Name("foo"), Bind("other-0", "/vol"), Bind("vol-2", "/vol"))
    assert made.merged is None and files(foo, "vol-2") == {"a": "first"}


def test_after_a_shrink_what_was_written_meanwhile_must_still_fit(foo: World) -> None:
    resize(foo, "8KB")
    foo.volumes.write("vol-0", "later", "x" * 9000)
    with pytest.raises(errors.VolumeTooSmall):
        move(foo)
    assert foo.containers() == {"foo-0": "running"} and files(foo, "vol-1") == {"a": "first"}


@pytest.mark.parametrize("step", ["copy_live", "finish"])
def test_a_merge_that_broke_off_is_not_mounted_until_it_is_repeated(foo: World, step: str) -> None:
    resize(foo)
    foo.volumes.write("vol-0", "later", "second")
    foo.volumes.fail_next[step] = errors.OperationFailed("broken on purpose")
    with pytest.raises(errors.VolumeChangeFailed):
        move(foo)
    assert foo.containers() == {"foo-0": "running"} and foo.stored("/operations/") == []
    with pytest.raises(errors.VolumeIncomplete):
        foo.services.containers.create("bar", spec(binds=(NEW,)))
    with pytest.raises(errors.VolumeIncomplete):
        resize(foo, "256KB")
    assert move(foo) is True and files(foo, "vol-1") == {"a": "first", "later": "second"}
    foo.services.containers.create("bar", spec(binds=(NEW,)))


def test_a_change_that_did_not_come_to_the_merge_leaves_the_successor_whole(foo: World) -> None:
    resize(foo)
    foo.engine.fail_next["create"] = errors.OperationFailed("broken on purpose")
    with pytest.raises(errors.VolumeChangeFailed):
        move(foo)
    foo.volumes.write("vol-0", "later", "second")
    assert move(foo) is True and files(foo, "vol-1") == files(foo, "vol-0")


def test_a_container_that_never_came_to_run_has_not_mounted_the_successor(foo: World) -> None:
    resize(foo)
    foo.engine.fail_next["start"] = errors.StartFailed("broken on purpose")
    with pytest.raises(errors.StartFailed):
        foo.services.containers.create("bar", spec(binds=(NEW,)))
    assert move(foo) is True


def test_a_volume_that_is_being_deleted_is_not_mounted(vol: World) -> None:
    discard, refused = vol.volumes.discard, []

    def meanwhile(name: str) -> None:
        with pytest.raises(errors.OperationRunning) as caught:
            vol.services.containers.create("foo", spec(binds=(OLD,)))
        refused.append(caught.value.data["kind"])
        discard(name)

    vol.volumes.discard = meanwhile  # type: ignore[method-assign]
    vol.services.volumes.delete(Name("vol"), force=False, erase=True)
    assert refused == ["delete"] and vol.stored() == [] and vol.containers() == {}


def test_a_volume_that_is_being_mounted_is_not_deleted(vol: World) -> None:
    create, refused = vol.engine.create, []

    def meanwhile(plan):  # type: ignore[no-untyped-def]
        with pytest.raises(errors.OperationRunning) as caught:
            vol.services.volumes.delete(Name("vol"), force=True, erase=True)
        refused.append(caught.value.data["kind"])
        return create(plan)

    vol.engine.create = meanwhile
    vol.services.containers.create("foo", spec(binds=(OLD,)))
    assert refused == ["create"] and vol.engine.volumes == {"vol-0"}


def test_of_a_mount_and_a_deletion_at_the_same_moment_one_plans_again(
    vol: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = create.claim_volumes

    def late(*args: Any) -> Any:
        claimed = claim(*args)
        if vol.engine.volumes:
            vol.services.volumes.delete(Name("vol"), force=False, erase=True)
        return claimed

    monkeypatch.setattr(create, "claim_volumes", late)
    with pytest.raises(errors.VolumeNotFound):
        vol.services.containers.create("foo", spec(binds=(OLD,)))
    assert vol.stored() == [] and vol.engine.volumes == set() and vol.containers() == {}


def test_a_kept_record_gives_its_data_to_the_next_version(vol: World) -> None:
    vol.services.volumes.delete(Name("vol"), force=False, erase=False)
    assert vol.engine.volumes == set() and state(vol, "vol-0") == "removed"
    with pytest.raises(errors.VolumeNotFound):
        vol.services.containers.create("foo", spec(binds=(OLD,)))
    assert resize(vol, "64KB") == "vol-1" and files(vol, "vol-1") == {"a": "first"}
    assert not [place for place in vol.volumes.files if place.startswith("/aside/")]
    with pytest.raises(errors.VolumeNotFound):
        vol.services.volumes.roll_back(Name("vol"), 0)


def test_erasing_a_kept_record_deletes_the_data(vol: World) -> None:
    vol.services.volumes.delete(Name("vol"), force=False, erase=False)
    vol.services.volumes.delete(Name("vol"), force=False, erase=True)
    assert vol.volumes.files == {} and vol.stored() == []


@pytest.mark.parametrize("step", ["set_aside", "discard"])
def test_a_deletion_that_fails_is_told_and_finished(vol: World, step: str) -> None:
    vol.volumes.fail_next[step] = errors.OperationFailed("broken on purpose")
    with pytest.raises(errors.VolumeDeleteFailed):
        vol.services.volumes.delete(Name("vol"), force=False, erase=step == "discard")
    assert vol.stored("/operations/") == [] and vol.engine.volumes == set()


def test_an_older_version_is_deleted_alone(vol: World) -> None:
    resize(vol)
    vol.services.volumes.delete(Name("vol", 0), force=False, erase=False)
    assert vol.engine.volumes == {"vol-1"} and state(vol, "vol-0") == "removed"
    assert not [place for place in vol.volumes.files if place.startswith("/aside/")]


def test_a_deleted_container_on_record_keeps_its_volume(foo: World) -> None:
    foo.services.containers.delete(Name("foo"), force=True, erase=False)
    with pytest.raises(errors.VolumeInUse) as caught:
        foo.services.volumes.delete(Name("vol"), force=False, erase=True)
    assert caught.value.data == {"containers": ["foo-0"]}
    foo.services.volumes.delete(Name("vol"), force=True, erase=True)
    assert foo.engine.volumes == set()


def test_only_as_many_versions_are_kept_as_the_operator_wants() -> None:
    world = make_world(replace(CONFIG, keep_versions=2))
    world.services.volumes.create("vol", "8KB")
    world.services.containers.create("foo", spec(binds=(OLD,)))
    for size in ("12KB", "16KB", "20KB"):
        resize(world, size)
    assert world.engine.volumes == {"vol-0", "vol-2", "vol-3"}, "vol-0 is mounted"
    for count in (1, 2, 3):
        world.services.containers.change_gpus(Name("foo"), count)
    assert world.containers() == {"foo-2": "exited", "foo-3": "running"}
    assert [v.record.name for v in world.services.containers.queries.show(Name("foo")).versions] == ["foo-3", "foo-2"]


def test_volumes_are_made_mountable_before_anything_starts(foo: World) -> None:
    for start in (
        lambda: foo.services.containers.restart(Name("foo")),
        lambda: foo.services.containers.change_gpus(Name("foo"), 2),
        foo.services.agent.startup.run,
    ):
        foo.volumes.readied.clear()
        start()
        assert foo.volumes.readied == ["vol-0"]


def test_where_no_size_is_enforced_the_answer_says_so(world: World) -> None:
    world.volumes.chosen = NONE
    record = world.services.volumes.create("vol", "8KB").record
    assert not record.enforced and record.driver == "none"
    world.volumes.write("vol-0", "big", "x" * 9000)
    with pytest.raises(errors.VolumeTooSmall):
        resize(world, "4KB")
    assert resize(world, "16KB") == "vol-1"


def test_a_volume_that_docker_lost_is_missing(vol: World) -> None:
    vol.engine.volumes.clear()
    assert state(vol, "vol-0") == "missing"
    with pytest.raises(errors.VolumeNotFound):
        resize(vol)


def test_keys_of_layout_1_are_taken_over(world: World) -> None:
    world.store.transact({}, [Put("/meta/schema", {"schema": 1})])
    world.services.volumes.create("vol", "8KB")
    entry = world.store.get("/meta/schema")
    assert entry is not None and entry.value == {"schema": 2}

"""What version 0.1 wrote: a backup made by it is restored, listed and changed."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from app.model.backup import Backup, parse
from app.model.container import Bind, ContainerPlan, Labels, VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.sizes import Size
from app.model.volume import VolumePlan
from app.state import idempotency
from app.state.backup import Backups
from app.state.idempotency import StoredAnswer
from app.state.unreadable import UnreadableRecords
from tests.support.world import World

FILE = Path(__file__).parents[2] / "fixtures" / "backup-0.1.json"


@pytest.fixture
def backup() -> Backup:
    return parse(FILE.read_text())


@pytest.fixture
def old(world: World, backup: Backup) -> World:
    """A world with the backup restored, and a Docker that has what it tells of."""
    Backups(world.store, "/test").restore(backup, replace=False, save=lambda _: None)
    for record in world.services.volumes.records.everything()[1].values():
        if not record.removed:
            labels = Labels(record.node, record.family, record.version, "0" * 22)
            world.volumes.create(VolumePlan(labels, Size(record.size, record.bytes)))
        elif record.aside:
            world.volumes.files[record.aside] = {}
    for version in world.services.containers.records.everything()[1].values():
        _recreate(world, version)
    return world


def _recreate(world: World, record: VersionRecord) -> None:
    if record.layer:
        world.engine.layers[record.layer] = {}
    if record.removed:
        return
    labels = Labels(record.node, record.family, record.version, "0" * 22)
    plan = ContainerPlan(record.name, labels, record.image_id, record.spec, record.gpus, record.anonymous)
    made = world.engine.containers.pop(world.engine.create(plan))
    made.id = record.container_id
    world.engine.containers[made.id] = made
    family = world.services.containers.records.find(record.family)
    assert family
    if family.record.desired == "running" and family.record.current == record.version:
        world.engine.start(made.id)


def test_it_is_restored_and_taken_again_as_it_was(old: World, backup: Backup) -> None:
    again = Backups(old.store, "/test").take()
    different = {key for key in backup.keys if backup.keys[key] != again.keys[key]}
    assert different == {"/meta/restored"} and again.keys.keys() == backup.keys.keys()
    assert UnreadableRecords(old.store).all() == ()


def test_everything_is_listed(old: World) -> None:
    services = old.services
    views = {view.family.family: view for view in services.containers.queries.page().containers}
    assert {name: view.state for name, view in views.items()} == {
        "bar": "stopped",
        "busy": "running",
        "foo": "running",
        "gone": "removed",
    }
    assert views["foo"].newest.spec.binds[0] == Bind("vol-1", "/data") and len(views["foo"].gpus) == 2
    volumes = {view.family.family: view for view in services.volumes.queries.page().volumes}
    assert (volumes["vol"].newest.record.driver, volumes["old"].newest.state) == ("loop", "removed")
    operations = services.operations.queries.all().operations
    assert (operations[0].state, operations[0].operation.who) == ("running", "ann")
    failed = next(view for view in operations if view.state == "undone")
    assert isinstance(failed.error, Text) and failed.error.values == {"name": "docker.io"}
    out = [view for view in services.gpus.all() if view.out]
    assert sorted(str(view.fault) for view in out) == ["None", "XID 79: it has fallen off the bus"]
    assert services.gpu.health.faults_inside()["foo"].startswith("nvidia-smi in it says")


def test_every_record_can_be_changed(old: World) -> None:
    services = old.services
    assert services.containers.change_gpus(Name("foo"), 1).name == "foo-3"
    assert services.containers.restart(Name("bar")).name == "bar-1"
    assert services.containers.restart(Name("gone")).name == "gone-1"
    assert services.volumes.resize(Name("old"), "6MB").record.name == "old-2"
    assert services.operations.queries.one(services.operations.queries.all(state="running").operations[0].operation.id)
    for view in services.gpus.all():
        if view.out:
            assert services.gpus.schedule(view.gpu.uuid, True)[1]
    assert all(view.out is None for view in services.gpus.all())
    services.containers.delete(Name("foo"), force=True, erase=True)
    assert UnreadableRecords(old.store).all() == ()


def test_answers_to_requests_are_still_known(old: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "LIFETIME", timedelta(days=100_000))
    answer = old.services.idempotency.begin("done", "fingerprint")
    assert answer == StoredAnswer(201, json.dumps({"code": 200}), "/api/v1/containers/foo")


def test_what_a_dead_process_left_is_settled(old: World) -> None:
    running = old.services.operations.queries.all(state="running").operations[0].operation
    old.host.alive = set()
    assert old.services.operations.journal.recover_orphans() == 1
    assert old.services.operations.queries.one(running.id).state == "undone"
    assert old.containers()["busy-0"] == "running" and old.stored("/operations/", "/cancellations/") == []

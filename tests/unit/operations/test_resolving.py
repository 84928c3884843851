"""How operators meet a stuck operation: by the API, by commands, under attention and in `gpudock doctor`."""

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from app import alerts
from app.cli import stuck as doctor
from app.model.alerts import Alert
from app.model.findings import Status
from app.model.operation import Kind, Operation
from app.ports import Delete, Put
from app.state.keys import OPERATIONS, agent_key
from app.web.api.idempotency import HEADER
from tests.support.site import OPEN, Site, two_nodes
from tests.support.stuck import FOO, WHY, stuck_commit
from tests.support.world import CONFIG, spec

Json = dict[str, Any]
DISCARDED = ["removes the image if it has no name yet", "leaves container foo-0 as it is"]


@pytest.fixture
def site() -> Site:
    return Site(OPEN)


@pytest.fixture
def stuck(site: Site) -> Operation:
    """A commit of foo that is stuck."""
    site.services.containers.create("foo", spec(gpu_count=1))
    return stuck_commit(site.services, site.store)


def call(site: Site, method: str, path: str, **options: Any) -> tuple[int, Json]:
    answer = site.app.test_client().open(f"/api/v1{path}", method=method, **options)
    return answer.status_code, answer.get_json()


def run(site: Site, *arguments: str) -> Result:
    return site.app.test_cli_runner().invoke(args=["operation", *arguments])


def become(site: Site, **fields: object) -> None:
    """Let the one operation that there is be another one."""
    (entry,) = site.store.list(OPERATIONS)
    site.store.transact({}, [Put(entry.key, {**entry.value, **fields})])


def test_the_api_tells_the_ways_out(site: Site, stuck: Operation) -> None:
    status, answer = call(site, "GET", f"/operations/{stuck.id}")
    told = answer["data"]
    assert (status, told["state"], told["error"], told["ended"]) == (200, "stuck", WHY, None)
    assert told["resolutions"]["undo"] == {"possible": True, "effects": DISCARDED, "reason": None}
    assert list(told["resolutions"]) == ["finish", "undo", "forget"]
    become(site, kind=Kind.CREATE)
    (_, answer) = call(site, "GET", f"/operations/{stuck.id}")
    assert answer["data"]["resolutions"]["finish"] == {
        "possible": False,
        "effects": [],
        "reason": "what was not committed cannot be finished; undo it",
    }
    (listed,) = call(site, "GET", "/operations?state=stuck")[1]["data"]["operations"]
    assert listed["id"] == stuck.id and "resolutions" not in listed


def test_the_api_resolves_it_after_telling_what_that_will_do(site: Site, stuck: Operation) -> None:
    path, undo = f"/operations/{stuck.id}/resolve", {"how": "undo"}
    status, answer = call(site, "POST", f"{path}?dryRun=true", json=undo)
    told = answer["data"]
    assert (status, told["dryRun"], told["state"], told["effects"]) == (200, True, "stuck", DISCARDED)
    status, answer = call(site, "POST", path, json=undo, headers={HEADER: "a key"})
    told = answer["data"]
    assert (status, told["dryRun"], told["state"], told["effects"]) == (200, False, "undone", DISCARDED)
    assert told["error"] == f"it was stuck, and somebody chose to undo it: {WHY}"
    assert call(site, "POST", path, json=undo, headers={HEADER: "a key"}) == (status, answer)
    assert call(site, "GET", f"/operations/{stuck.id}")[1]["data"]["resolutions"] is None
    assert call(site, "PATCH", "/containers/foo/stop")[0] == 200


def test_what_cannot_be_resolved_is_refused(site: Site, stuck: Operation) -> None:
    path = f"/operations/{stuck.id}/resolve"
    for body in ({}, {"how": "burn"}, {"how": None}):
        assert call(site, "POST", path, json=body)[0] == 400
    become(site, kind=Kind.CREATE)
    for query in ("", "?dryRun=true"):
        status, answer = call(site, "POST", path + query, json={"how": "finish"})
        assert (status, answer["code"]) == (409, 2121) and "cannot be finished" in answer["msg"]
    assert call(site, "POST", "/operations/nothing/resolve", json={"how": "undo"})[0] == 404
    become(site, stuck=None)
    status, answer = call(site, "POST", path, json={"how": "undo"})
    assert (status, answer["code"]) == (409, 2121) and "not stuck" in answer["msg"]


def test_what_it_blocks_is_refused_with_the_way_out_and_may_be_sent_again(site: Site, stuck: Operation) -> None:
    headers = {HEADER: "a key"}
    status, answer = call(site, "PATCH", "/containers/foo/stop", headers=headers)
    assert (status, answer["code"], answer["data"]) == (409, 2120, {"kind": "commit", "operation": stuck.id})
    assert f"gpudock operation show {stuck.id}" in answer["msg"] and WHY in answer["msg"]
    run(site, "resolve", stuck.id, "--undo")
    assert call(site, "PATCH", "/containers/foo/stop", headers=headers)[0] == 200


def test_every_node_answers_for_the_others() -> None:
    one, two, peers = two_nodes()
    one.services.containers.create("foo", spec())
    stuck = stuck_commit(one.services, one.store)
    client = two.app.test_client()
    token = {"Authorization": f"Bearer {two.services.config.token}"}
    path = f"/api/v1/operations/{stuck.id}"
    assert client.get(path, headers=token).get_json()["data"]["resolutions"]["undo"]["effects"] == DISCARDED
    del peers.apps["http://one.test"]
    told = client.get(path, headers=token)
    assert (told.status_code, told.get_json()["data"]["resolutions"]) == (200, None)
    assert client.post(f"{path}/resolve", headers=token, json={"how": "undo"}).status_code == 503
    peers.apps["http://one.test"] = one.app
    done = client.post(f"{path}/resolve", headers=token, json={"how": "undo"}).get_json()["data"]
    assert (done["state"], done["node"]) == ("undone", "one")


def test_the_api_offers_to_forget_what_a_node_that_is_gone_left_running() -> None:
    one, two, _ = two_nodes()
    one.services.containers.create("foo", spec())
    stuck = stuck_commit(one.services, one.store)
    become(one, stuck=None)
    one.store.transact({}, [Delete(agent_key("one"))])
    token = {"Authorization": f"Bearer {two.services.config.token}"}
    told = two.app.test_client().get(f"/api/v1/operations/{stuck.id}", headers=token).get_json()["data"]
    assert told["state"] == "running" and told["resolutions"]["forget"]["possible"]
    assert "node one does not answer" in told["resolutions"]["undo"]["reason"]


def test_the_commands_list_and_show_it(site: Site, stuck: Operation) -> None:
    line = f"{stuck.id}  stuck  commit of container foo-0  at step claimed: {WHY}"
    assert run(site, "list").output == f"{line}\n"
    assert len(run(site, "list", "--all").output.splitlines()) == 2
    shown = run(site, "show", stuck.id).output.splitlines()
    assert shown[0] == line and "  node     test-node" in shown and "  asked by gpudock" in shown
    assert shown[-3:] == [
        f"gpudock operation resolve {stuck.id} --forget",
        "  leaves an image that has no name yet for now; reconcile removes it",
        "  leaves container foo-0 as it is",
    ]
    become(site, kind=Kind.CREATE)
    assert (
        "--finish is not possible: what was not committed cannot be finished; undo it"
        in run(site, "show", stuck.id).output
    )
    site.engine.dead = True
    shown = run(site, "show", stuck.id).output.splitlines()
    assert shown[-1] == "how it can be resolved is not known here: Docker at unix:///nowhere.sock does not answer"


def test_where_nothing_is_under_way_the_command_says_so(site: Site) -> None:
    assert run(site, "list").output == "no operation runs, and none is stuck\n"
    site.services.volumes.create("vol", "1MB")
    (view,) = site.services.operations.queries.all().operations
    shown = run(site, "show", view.operation.id).output
    assert shown.startswith(f"{view.operation.id}  done  create of volume vol-0\n") and "ended" in shown
    missing = run(site, "show", "nothing")
    assert missing.exit_code == 1 and "there is no operation 'nothing'" in missing.output


def test_the_command_says_what_it_will_do_and_does_it(site: Site, stuck: Operation) -> None:
    effects = "".join(f"  {effect}\n" for effect in DISCARDED)
    rehearsed = run(site, "resolve", stuck.id, "--undo", "--dry-run")
    assert (rehearsed.exit_code, rehearsed.output) == (0, f"undo would do this:\n{effects}")
    assert site.store.list(OPERATIONS)
    done = run(site, "resolve", stuck.id, "--undo")
    assert (done.exit_code, done.output) == (0, f"undo:\n{effects}the operation is undone\n")
    site.services.containers.stop(FOO)
    again = run(site, "resolve", stuck.id, "--undo")
    assert again.exit_code == 1 and "the operation is undone already; nothing was changed (error 2121)" in again.output


@pytest.mark.parametrize("options", [(), ("--undo", "--forget"), ("--finish", "--undo", "--forget")])
def test_the_command_wants_one_way(site: Site, stuck: Operation, options: tuple[str, ...]) -> None:
    refused = run(site, "resolve", stuck.id, *options)
    assert refused.exit_code == 2 and "give one of --finish, --undo and --forget" in refused.output
    assert site.store.list(OPERATIONS)


def test_the_command_sends_the_operator_to_the_node_that_has_it() -> None:
    one, two, _ = two_nodes()
    one.services.containers.create("foo", spec())
    stuck = stuck_commit(one.services, one.store)
    refused = run(two, "resolve", stuck.id, "--undo")
    assert refused.exit_code == 1 and "the operation is on node one; ask there" in refused.output
    assert "is on node one" in run(two, "show", stuck.id).output
    one.store.transact({}, [Delete(agent_key("one"))])
    forgotten = run(two, "resolve", stuck.id, "--forget")
    assert forgotten.exit_code == 0 and "do this only if it is gone for good" in forgotten.output


def test_it_needs_attention_until_it_is_resolved(site: Site, stuck: Operation) -> None:
    def needed() -> list[Alert]:
        return list(alerts.of_operations(site.services.operations.queries.since("")))

    (alert,) = needed()
    assert (alert.subject, alert.kind, alert.reason, alert.grave, alert.id) == ("foo-0", "stuck", WHY, True, stuck.id)
    site.services.volumes.create("vol", "1MB")
    assert needed() == [alert]
    run(site, "resolve", stuck.id, "--forget")
    assert needed() == []  # somebody wished it so


def test_doctor_names_it_with_the_reason_and_the_command(
    site: Site, stuck: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "build_backends", lambda _: SimpleNamespace(store=site.store))
    found = doctor.examine_operations(CONFIG)
    assert found.status is Status.FAIL and found.part == "operations"
    assert found.found == f"commit of foo-0 on test-node ({stuck.id}) is stuck: {WHY}"
    assert found.advice == f"gpudock operation show {stuck.id}"
    run(site, "resolve", stuck.id, "--undo")
    assert doctor.examine_operations(CONFIG).status is Status.OK
    site.store.dead = True
    assert doctor.examine_operations(CONFIG).status is Status.WARNING

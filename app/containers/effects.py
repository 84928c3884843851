"""The sentences in which ways out of stuck operations on containers are told, from what Docker and etcd have now."""

from collections.abc import Iterable, Iterator

from app.model.container import Inspected, Observed
from app.model.messages import Text
from app.model.operation import Operation
from app.ports import ContainerReader
from app.state.containers import Records


def left(container: Inspected | Observed) -> Text:
    """Say that a container stays as it is."""
    return Text("leaves container {name} ({state}) as it is", name=container.name, state=Text(container.state))


def removed(container: Inspected | Observed) -> Text:
    """Say that a container goes, with what was written to it."""
    return Text("removes container {name} ({state})", name=container.name, state=Text(container.state))


def made_left(made: Iterable[Observed]) -> Iterator[Text]:
    """Say what becomes of the containers that an operation made and nobody undoes."""
    for container in made:
        yield Text(
            "leaves container {name} ({state}) for now; reconcile removes it, since no record names it",
            name=container.name,
            state=Text(container.state),
        )


def parent_left(containers: ContainerReader, records: Records, operation: Operation) -> Iterator[Text]:
    """Say how the container stays that an operation began with, and whether it is started again without our doing."""
    if operation.parent is None:
        return
    found = containers.inspect(operation.parent.container_id)
    if found is None:
        yield Text("the container that the operation began with is gone from Docker, and stays so")
        return
    yield left(found)
    state = records.find(operation.family)
    wanted = state is not None and state.record.desired == "running" and state.current.container_id == found.id
    if wanted and not found.running:
        yield Text("{name} should run: reconcile starts it again, unless it ended by itself", name=found.name)

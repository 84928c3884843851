"""Images that gpudock marked: by a tag that holds them, or by the operation whose commit made them."""

from docker import APIClient
from docker.errors import APIError, NotFound

from app.adapters.docker import names
from app.adapters.docker.labels import COMMITTED_BY


def held(client: APIClient, repository: str) -> set[str]:
    """List the ids of the images with a tag of that repository, without those that a container was made of."""
    tagged = {raw["Id"] for raw in client.images(name=repository)}
    return tagged - {raw["ImageID"] for raw in client.containers(all=True)} if tagged else set()


def name_commit(client: APIClient, operation: str, name: str) -> bool:
    """Give the image of an operation's commit a name; False if there is none, or if another image has the name."""
    made = {raw["Id"] for raw in client.images(filters={"label": f"{COMMITTED_BY}={operation}"})}
    try:
        holder = client.inspect_image(names.unlike_an_id(name))["Id"]  # type: ignore[no-untyped-call]
    except NotFound:
        holder = None
    if made and holder is None:
        client.tag(made.pop(), *names.parts(name))
        return True
    return holder in made


def nameless_commits(client: APIClient) -> set[str]:
    """List the operations whose commits made images that have no name."""
    found = client.images(filters={"label": COMMITTED_BY, "dangling": True})
    return {raw["Labels"][COMMITTED_BY] for raw in found}


def drop_commit(client: APIClient, operation: str) -> None:
    """Remove the nameless images of an operation's commit, unless a container needs them."""
    for raw in client.images(filters={"label": f"{COMMITTED_BY}={operation}", "dangling": True}):
        try:
            client.remove_image(raw["Id"], noprune=True)
        except APIError as exc:
            if exc.status_code not in (404, 409):
                raise

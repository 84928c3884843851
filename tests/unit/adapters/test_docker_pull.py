"""What Docker's report on a pull says: how far it is, and what went wrong."""

import pytest

from app.adapters.docker.pull import Layers, failure
from app.errors import ImageNotInRegistry, ImagePullFailed, RegistryUnreachable, Unavailable
from app.model.image import PullState


def heard(*events: tuple[str, str, int, int]) -> PullState:
    layers = Layers()
    for status, identity, current, total in events:
        detail = {"current": current, "total": total} if total else {}
        layers.hear({"status": status, "id": identity, "progressDetail": detail})
    return layers.state


def test_nothing_is_known_before_the_registry_has_answered() -> None:
    assert heard() == PullState("asking the registry", 0, None)
    assert heard(("Pulling from library/busybox", "latest", 0, 0)) == PullState("asking the registry", 0, None)


def test_the_total_is_known_once_every_layer_has_begun() -> None:
    begun = [("Pulling fs layer", "a", 0, 0), ("Pulling fs layer", "b", 0, 0), ("Waiting", "b", 0, 0)]
    assert heard(*begun, ("Downloading", "a", 5, 10)) == PullState("loading", 5, None)
    both = [*begun, ("Downloading", "a", 5, 10), ("Downloading", "b", 1, 20)]
    assert heard(*both) == PullState("loading", 6, 30)
    one = [*both, ("Verifying Checksum", "a", 0, 0), ("Download complete", "a", 0, 0), ("Extracting", "a", 1, 10)]
    assert heard(*one) == PullState("loading", 11, 30)
    assert heard(*one, ("Download complete", "b", 0, 0)) == PullState("unpacking", 30, 30)


def test_layers_that_are_there_or_too_small_to_be_told_of_do_not_count() -> None:
    small = [("Already exists", "old", 0, 0), ("Pulling fs layer", "a", 0, 0), ("Pull complete", "a", 0, 0)]
    assert heard(*small) == PullState("unpacking", 0, 0)


def test_an_error_at_the_end_of_the_report_is_kept() -> None:
    layers = Layers()
    layers.hear({"errorDetail": {"message": "no"}, "error": "no"})
    layers.hear({})
    assert layers.error == "no"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('Get "https://hub/v2/": dial tcp: lookup hub on 10.0.0.1:53: no such host', RegistryUnreachable),
        ('Get "http://127.0.0.1:5/v2/": dial tcp 127.0.0.1:5: connect: connection refused', RegistryUnreachable),
        ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", RegistryUnreachable),
        ('Get "https://hub/v2/": http: server gave HTTP response to HTTPS client', RegistryUnreachable),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", RegistryUnreachable),
        ("manifest for hub/a:1 not found: manifest unknown: manifest unknown", ImageNotInRegistry),
        ("pull access denied for a, repository does not exist or may require 'docker login'", ImageNotInRegistry),
        ("unauthorized: authentication required", ImageNotInRegistry),
        ("no basic auth credentials", ImageNotInRegistry),
        ("write /var/lib/docker/tmp/x: no space left on device", Unavailable),
        ("filesystem layer verification failed for digest sha256:0", ImagePullFailed),
    ],
)
def test_what_went_wrong_is_told_apart(text: str, kind: type[Exception]) -> None:
    assert type(failure(text, "hub/a:1")) is kind

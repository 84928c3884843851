"""What `make test ARGS=…` installs for which tests, and that those of `make check` need nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.parts import PLAIN, TESTS, needed

SERVERS = {"dockerd", "etcd_server", "nvml_library", "registry", "window"}


def item(path: str, *fixtures: str) -> pytest.Item:
    return cast(Any, SimpleNamespace(path=Path(TESTS, path), fixturenames=fixtures))


@pytest.mark.parametrize(
    ("items", "parts"),
    [
        ([], set()),
        ([item("unit/model/test_names.py"), item("pages/test_images.py", "site")], set()),
        ([item("pages/test_images.py"), item("integration/test_images.py", "dockerd")], {"servers"}),
        ([item("e2e/test_browser.py", "window", "api")], {"servers", "browser"}),
        ([item("xfs/test_quota.py")], {"xfs"}),
    ],
)
def test_only_what_the_chosen_tests_need_is_installed(items: list[pytest.Item], parts: set[str]) -> None:
    assert needed(items) == parts


def test_unit_tests_and_those_of_pages_start_no_server(request: pytest.FixtureRequest) -> None:
    """Looks at the tests of this run."""
    for each in request.session.items:
        if each.path.relative_to(TESTS).parts[0] in PLAIN:
            assert not SERVERS & set(getattr(each, "fixturenames", ())), each.nodeid

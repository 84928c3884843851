"""Everything here needs a machine whose /var/tmp is XFS with project quotas: `make test-xfs` boots one."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def project_quotas() -> None:
    """Say at once what is missing, where somebody runs these tests on the machine itself."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    options = next((fields[3] for fields in mounts if fields[1:3] == ["/var/tmp", "xfs"]), "")
    assert "prjquota" in options.split(","), "/var/tmp is not XFS with project quotas: use make test-xfs"


@pytest.fixture(scope="session")
def server_settings() -> dict[str, str]:
    """Here the server finds out by itself that Docker's quotas work."""
    return {"GPUDOCK_VOLUMES": "auto"}

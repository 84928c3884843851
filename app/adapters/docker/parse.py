"""Reads what Docker's list and inspect tell into the model's dataclasses."""

import re
from datetime import datetime
from typing import Any

from app.adapters.docker import labels as label_names
from app.model.container import Inspected, Mount, Observed

_NEVER = "0001-01-01"


def listed(raw: dict[str, Any]) -> Observed:
    """Read a container from Docker's list."""
    # A linked container has the names that others call it by as well, like /other/alias.
    name = next((name for name in raw["Names"] or () if name.count("/") == 1), "")
    labels = label_names.read(raw["Labels"])
    return Observed(raw["Id"], name.removeprefix("/"), raw["State"], labels, raw["Status"])


def inspected(raw: dict[str, Any]) -> Inspected:
    """Read a container from Docker's inspect."""
    return Inspected(
        id=raw["Id"],
        name=raw["Name"].removeprefix("/"),
        state=raw["State"]["Status"],
        labels=label_names.read(raw["Config"]["Labels"]),
        image_id=raw["Image"],
        anonymous=_anonymous(raw),
        started=not raw["State"]["StartedAt"].startswith(_NEVER),
        exit_code=raw["State"]["ExitCode"],
        ended=_seconds(raw["State"]["FinishedAt"]),
        out_of_memory=raw["State"]["OOMKilled"],
    )


def _seconds(moment: str) -> float | None:
    """Read Docker's time in seconds since 1970; None for never. Python reads microseconds, Docker writes more."""
    if moment.startswith(_NEVER):
        return None
    return datetime.fromisoformat(re.sub(r"(\.[0-9]{1,6})[0-9]*", r"\1", moment)).timestamp()


def mounts(raw: list[dict[str, Any]]) -> dict[str, list[Mount]]:
    """Find the containers that mount each volume, from Docker's list of containers."""
    found: dict[str, list[Mount]] = {}
    for container in raw:
        seen, managed = listed(container), label_names.is_ours(container["Labels"])
        for mount in container["Mounts"]:
            if mount["Type"] == "volume":
                started = seen.state != "created"
                entry = Mount(seen.name, mount["Destination"], seen.running, started, managed)
                found.setdefault(mount["Name"], []).append(entry)
    return found


def _anonymous(raw: dict[str, Any]) -> dict[str, str]:
    bound = {bind.partition(":")[0] for bind in raw["HostConfig"]["Binds"] or ()}
    volumes = [mount for mount in raw["Mounts"] if mount["Type"] == "volume"]
    return {mount["Destination"]: mount["Name"] for mount in volumes if mount["Name"] not in bound}

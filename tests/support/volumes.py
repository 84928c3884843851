"""What the tests of volumes do to a host besides what gpudock does."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.dockerd import Dockerd

_STAMPS = 5  # linux/time.h: CLOCK_REALTIME_COARSE


def home(dockerd: Dockerd) -> Path:
    """gpudock's own directory for volumes."""
    return dockerd.data / "gpudock/volumes"


def mounted(dockerd: Dockerd) -> list[Path]:
    """What is mounted below `home`."""
    points = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if point.is_relative_to(home(dockerd))]


def loop_devices(dockerd: Dockerd) -> list[str]:
    """The image files below the daemon's root that loop devices hold."""
    backings = Path("/sys/block").glob("loop*/loop/backing_file")
    return [image for backing in backings if (image := _text(backing)).startswith(f"{dockerd.root}/")]


def unmount_all(dockerd: Dockerd) -> None:
    """As after a reboot: nothing is mounted any more, and the loop devices are gone."""
    for point in mounted(dockerd):
        subprocess.run(["umount", point], check=True)
    wait_for(lambda: not loop_devices(dockerd))


def remove_everything(dockerd: Dockerd) -> None:
    """Remove all containers, all volumes and what gpudock keeps of them, and let go of all images."""
    dockerd.remove_containers()
    if tags := dockerd.docker("images", "--format", "{{.Repository}}:{{.Tag}}", "gpudock-held").split():
        dockerd.docker("rmi", "--no-prune", *tags)
    if volumes := dockerd.docker("volume", "ls", "-q").split():
        dockerd.docker("volume", "rm", *volumes)
    unmount_all(dockerd)
    shutil.rmtree(home(dockerd), ignore_errors=True)


def wait_for_the_next_stamp() -> None:
    """So that what is written now is newer than what was written before: files are stamped by a clock that ticks."""
    now = time.clock_gettime(_STAMPS)
    while time.clock_gettime(_STAMPS) == now:
        time.sleep(0.001)


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "that did not happen within 60 s"
        time.sleep(0.02)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # let go of meanwhile
        return ""

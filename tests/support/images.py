"""Small images for the tests, imported from a static busybox: no registry is needed."""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

IMAGE = "busybox:test"
VOLUME_IMAGE = "busybox:volume"
_BUSYBOX = Path("/bin/busybox")


def build(docker: Sequence[str]) -> None:
    """Give the engine that the command line `docker` speaks to IMAGE, and VOLUME_IMAGE which declares VOLUME /data."""
    root = rootfs()
    for name, changes in ((IMAGE, ()), (VOLUME_IMAGE, ("VOLUME /data",))):
        options = [f"--change={change}" for change in ('CMD ["sh"]', *changes)]
        subprocess.run([*docker, "import", *options, "-", name], input=root, check=True, stdout=subprocess.DEVNULL)


def rootfs() -> bytes:
    """A tar of a root directory with busybox, a link for each of its commands, /tmp, /root and two users."""
    applets = subprocess.run([_BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("data", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777)):
            tar.addfile(_entry(name, tarfile.DIRTYPE, mode))
        _add_file(tar, "bin/busybox", _BUSYBOX.read_bytes(), 0o755)
        _add_file(tar, "data/shipped", b"with the image\n", 0o644)
        _add_file(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n", 0o644)
        _add_file(tar, "etc/group", b"root:x:0:\nuser:x:1000:\n", 0o644)
        for applet in set(applets) - {"busybox"}:
            tar.addfile(_entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777, "busybox"))
    return buffer.getvalue()


def _add_file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = _entry(name, tarfile.REGTYPE, mode)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _entry(name: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, mode, target
    return entry

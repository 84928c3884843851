"""Directory trees for the tests of whatever copies them: one with everything in it, and a complete comparison."""

import hashlib
import mmap
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 512
_SLACK = 64 << 10  # bytes by which the room that two equal files take may differ


def make_layer(root: Path, name: str) -> Path:
    """An empty directory where Docker's overlay2 driver would have a layer."""
    layer = root / "overlay2" / name / "diff"
    layer.mkdir(parents=True)
    return layer


def untold(done: int, total: int | None) -> None:
    """The progress of a copy that nobody asks about."""


def make_everything(path: Path) -> None:
    """Fill a directory with every kind of file, attribute and name that a container can leave in its layer."""
    _make_names(path)
    _make_kinds(path)
    _make_attributes(path)
    _make_sparse(path)
    _make_links(path)
    _make_deep(path)
    _make_overlay_marks(path)
    _make_directories(path)


def describe(path: Path) -> dict[str, dict[str, Any]]:
    """Everything about each entry below `path`, by relative path ("." is the directory itself)."""
    found = {name: _entry(path / name) for name in _names(path)}
    inodes: dict[int, list[str]] = {}
    for name in found:
        inodes.setdefault((path / name).lstat().st_ino, []).append(name)
    for names in inodes.values():
        for name in names:
            found[name]["links"] = sorted(names)
    return found


def differences(a: Path, b: Path) -> list[str]:
    """One line per difference between two trees; empty if they are equal in everything that `describe` sees."""
    old, new = describe(a), describe(b)
    lines = [f"only in {side}: {name!r}" for name, side in _unpaired(old, new)]
    for name in sorted(old.keys() & new.keys()):
        lines += [
            f"{name!r}: {key} {old[name].get(key)!r} became {new[name].get(key)!r}"
            for key in sorted(old[name].keys() | new[name].keys())
            if not _alike(key, old[name].get(key), new[name].get(key))
        ]
    return lines


def acl(*named_users: int) -> bytes:
    """A POSIX ACL in the kernel's form: rw for the owner, r for each named user and the group, nothing for others."""
    entries = [(0x01, 6, 0xFFFFFFFF), *((0x02, 4, uid) for uid in named_users)]
    entries += [(0x04, 4, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def capability() -> bytes:
    """The security.capability of a program with cap_net_raw=ep."""
    return struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


def store_mapped(path: Path, offset: int, data: bytes) -> None:
    """Change a file through a shared mapping."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[offset : offset + len(data)] = data


def _unpaired(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((name, "the first") for name in sorted(old.keys() - new.keys()))
    yield from ((name, "the second") for name in sorted(new.keys() - old.keys()))


def _alike(key: str, a: Any, b: Any) -> bool:
    return abs(a - b) <= max(_SLACK, a // 10) if key == "room" and a is not None and b is not None else bool(a == b)


def _names(path: Path) -> Iterator[str]:
    yield "."
    for here, directories, files in os.walk(path):
        for name in (*directories, *files):
            yield os.path.relpath(Path(here) / name, path)


def _entry(path: Path) -> dict[str, Any]:
    status = path.lstat()
    entry: dict[str, Any] = {
        "type": stat.S_IFMT(status.st_mode),
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "owner": (status.st_uid, status.st_gid),
        "mtime_ns": status.st_mtime_ns,
        "rdev": status.st_rdev,
        "xattrs": {name: os.getxattr(path, name, follow_symlinks=False) for name in _xattrs(path)},
    }
    if stat.S_ISLNK(status.st_mode):
        entry["to"] = os.fsencode(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            entry["content"] = hashlib.file_digest(file, "sha256").hexdigest()
        entry |= {"size": status.st_size, "room": status.st_blocks * _BLOCK}
    return entry


def _xattrs(path: Path) -> list[str]:
    return sorted(os.listxattr(path, follow_symlinks=False))


def _make_names(path: Path) -> None:
    names = [b"with\nnewline", b"\xff\xfe not utf-8", b"-rf", b"--help", b" space ", b"*?[a]", b"\"quotes'", b".hidden"]
    for number, name in enumerate([*names, b"n" * 255, b"\\back", "名字".encode()]):
        (path / os.fsdecode(name)).write_bytes(b"content %d" % number)
        os.utime(path / os.fsdecode(name), ns=(1, 1_000_000_000 + number))
    (path / "empty").touch()
    (path / "old").write_text("before the epoch")
    os.utime(path / "old", ns=(-5_000_000_001, -7_000_000_003))


def _make_kinds(path: Path) -> None:
    os.mkfifo(path / "fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as listener:
        # A relative path, since an address has room for 108 bytes.
        at = os.open(path, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{at}/socket")
        os.close(at)
    os.mknod(path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(path / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 250))
    os.mknod(path / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    (path / "dangling").symlink_to("/no/such/place")
    (path / "relative").symlink_to("../up/\udcff")
    os.chown(path / "relative", 1234, 4321, follow_symlinks=False)
    for name in ("dangling", "relative", "fifo", "socket", "null"):
        os.utime(path / name, ns=(2, 1_234_567_890_123_456_789), follow_symlinks=False)


def _make_attributes(path: Path) -> None:
    for mode in (0o000, 0o400, 0o777, 0o4755, 0o2755, 0o6711, 0o1644):
        file = path / f"mode{mode:o}"
        file.write_text("x")
        os.chown(file, 1000 + mode, 5000)
        file.chmod(mode)
    (path / "program").write_bytes(b"\x7fELF")
    os.chown(path / "program", 99, 99)
    os.setxattr(path / "program", "security.capability", capability())
    (path / "attributes").write_text("x")
    os.setxattr(path / "attributes", "user.binary", bytes(range(256)))
    os.setxattr(path / "attributes", "user.empty", b"")
    os.setxattr(path / "attributes", "trusted.ours", b"1")
    os.setxattr(path / "attributes", "security.ours", b"2")
    os.setxattr(path / "attributes", "system.posix_acl_access", acl(33, 77))
    os.setxattr(path / "dangling", "trusted.on_a_link", b"3", follow_symlinks=False)
    os.setxattr(path / "whiteout", "trusted.on_a_device", b"4", follow_symlinks=False)
    os.setxattr(path / "fifo", "system.posix_acl_access", acl(5), follow_symlinks=False)


def _make_sparse(path: Path) -> None:
    with (path / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"island" * 1000)
        file.seek(4 << 20)
        file.write(b"end")
        file.truncate(6 << 20)
    with (path / "only a hole").open("wb") as file:
        file.truncate(4 << 20)
    (path / "zeros").write_bytes(bytes(300_000))
    (path / "large").write_bytes(os.urandom(1 << 20))


def _make_links(path: Path) -> None:
    (path / "links").mkdir()
    (path / "links/first").write_text("three names")
    (path / "links/second").hardlink_to(path / "links/first")
    (path / "third").hardlink_to(path / "links/first")
    os.link(path / "dangling", path / "links/dangling too", follow_symlinks=False)
    os.link(path / "fifo", path / "links/fifo too")


def _make_deep(path: Path) -> None:
    deep = path / "deep"
    for _ in range(150):
        deep = deep / "a-directory-name"
    deep.mkdir(parents=True)
    (deep / "bottom").write_text("deep down")


def _make_overlay_marks(path: Path) -> None:
    (path / "replaced").mkdir()
    os.setxattr(path / "replaced", "trusted.overlay.opaque", b"y")
    (path / "replaced/inside").write_text("new")
    (path / "moved").mkdir()
    os.setxattr(path / "moved", "trusted.overlay.redirect", b"/elsewhere")
    (path / "metadata only").touch()
    os.setxattr(path / "metadata only", "trusted.overlay.metacopy", b"")
    os.setxattr(path, "trusted.overlay.impure", b"y")


def _make_directories(path: Path) -> None:
    (path / "shared").mkdir()
    (path / "shared/before").write_text("has no ACL")
    os.setxattr(path / "shared", "system.posix_acl_default", acl(12))
    (path / "shared/after").write_text("inherited one")
    (path / "closed").mkdir()
    (path / "closed/inside").write_text("x")
    for name, mode in {"closed": 0, "sticky": 0o1777, "setgid": 0o2775, "empty directory": 0o751}.items():
        (path / name).mkdir(exist_ok=True)
        os.chown(path / name, 11, 22)
        (path / name).chmod(mode)
        os.utime(path / name, ns=(1_600_000_000_000_000_001, 1_600_000_000_000_000_002))
    os.chown(path, 7, 8)
    path.chmod(0o711)
    os.utime(path, ns=(1_500_000_000_000_000_003, 1_500_000_000_000_000_004))

"""Imports point down only, every module stands on a floor, and only adapters know docker, etcd and NVML."""

import ast
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
OUTSIDE = {"docker", "pyetcd", "grpc", "pynvml", "requests"}
IO = {"os", "io", "pathlib", "socket", "subprocess", "shutil", "threading", "tempfile", "signal"}
WEB = {"flask", "flask_smorest", "marshmallow", "webargs", "werkzeug", "flask_login", "flask_wtf"}

# The house from its roof down. A room may import of its own floor only itself, and whatever is below, except where
# `CLOSED` says otherwise.
FLOORS = (
    ("__main__",),
    ("__init__",),
    ("cli",),
    ("web/api", "web/pages"),
    ("web",),
    ("bootstrap", "logs"),
    ("agent", "alerts", "health", "kinds"),
    ("containers",),
    ("volumes", "images"),
    ("cluster",),
    ("gpus",),
    ("operations",),
    ("state",),
    ("adapters",),
    ("ports", "config"),
    ("model",),
    ("errors",),
)
# What a room may not import although it is below: features speak to the outside through ports, and are told settings.
CLOSED = {
    room: {"adapters", "config"}
    for room in (
        "agent",
        "alerts",
        "health",
        "containers",
        "volumes",
        "images",
        "cluster",
        "gpus",
        "operations",
        "state",
    )
} | {"web/api": {"adapters"}, "web/pages": {"adapters"}, "web": {"adapters"}}
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: write the whole name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(parts: tuple[str, ...]) -> str:
    """The room of a module of `app`, by its dotted parts below that; "__init__" is the package itself."""
    if parts[0] == "web" and parts[1:2] in (("api",), ("pages",)):
        return "/".join(parts[:2])
    return parts[0]


def rooms_of(name: str) -> str:
    """The room of what is imported as `app.…`, of which the last part may be a name in a module."""
    parts = tuple(name.split(".")[1:])
    while parts and not ((APP.joinpath(*parts)).is_dir() or APP.joinpath(*parts).with_suffix(".py").is_file()):
        parts = parts[:-1]
    return room(parts or ("__init__",))


# A link leads to what lies at the top of the repository: gunicorn's settings.
MODULES = sorted(path for path in APP.rglob("*.py") if not path.is_symlink())


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(APP)))
def test_a_module_imports_only_what_is_below_its_room(module: Path) -> None:
    own = room(module.relative_to(APP).with_suffix("").parts)
    assert own in FLOOR, f"{own} stands on no floor: add it to FLOORS"
    for name in imports(module):
        if name.split(".")[0] == "app":
            other = rooms_of(name)
            below = other == own or FLOOR[own] < FLOOR[other]
            assert below and other not in CLOSED.get(own, ()), f"{module.relative_to(APP)} imports {name}"


def test_every_floor_is_there() -> None:
    there = {room(module.relative_to(APP).with_suffix("").parts) for module in MODULES}
    assert there == set(FLOOR)


def test_only_adapters_know_the_outside_world() -> None:
    for module in MODULES:
        if "adapters" not in module.parts:
            assert not {name.split(".")[0] for name in imports(module)} & OUTSIDE, module


def test_what_is_below_the_web_knows_no_http() -> None:
    for module in MODULES:
        own = room(module.relative_to(APP).with_suffix("").parts)
        if FLOOR[own] > FLOOR["web"]:
            assert not {name.split(".")[0] for name in imports(module)} & WEB, module


def test_the_model_is_standard_library_only_and_does_no_io() -> None:
    for module in [*(APP / "model").rglob("*.py"), APP / "errors.py"]:
        for name in imports(module):
            top = name.split(".")[0]
            assert top == "app" or top in sys.stdlib_module_names - IO, f"{module} imports {name}"

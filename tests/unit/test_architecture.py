"""Imports point down only, and only adapters know docker, etcd and NVML."""

import ast
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
OUTSIDE = {"docker", "pyetcd", "grpc", "pynvml", "requests"}
IO = {"os", "io", "pathlib", "socket", "subprocess", "shutil", "threading", "tempfile", "signal"}
WEB = {"flask", "flask_smorest", "marshmallow", "webargs", "werkzeug", "flask_login", "flask_wtf"}

# What each part of the house may import of `app`.
ALLOWED = {
    "errors": set(),
    "domain": {"domain", "errors"},
    "ports": {"domain"},
    "config": set(),
    "services": {"services", "domain", "ports", "errors"},
    "adapters": {"adapters", "domain", "ports", "errors", "config"},
    "api": {"api", "web", "http_errors", "services", "domain", "errors"},
    "pages": {"pages", "web", "http_errors", "services", "domain", "errors", "auth"},
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def modules(part: str) -> list[Path]:
    return sorted((APP / part).rglob("*.py")) if (APP / part).is_dir() else [APP / f"{part}.py"]


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_is_below_it(part: str) -> None:
    for module in modules(part):
        for name in imports(module):
            if name.startswith("app."):
                assert name.split(".")[1] in ALLOWED[part], f"{module.relative_to(APP)} imports {name}"


def test_only_adapters_know_the_outside_world() -> None:
    for module in APP.rglob("*.py"):
        if "adapters" not in module.parts:
            assert not {name.split(".")[0] for name in imports(module)} & OUTSIDE, module


def test_services_and_domain_know_no_http() -> None:
    for part in ("services", "domain", "adapters", "ports", "errors"):
        for module in modules(part):
            assert not {name.split(".")[0] for name in imports(module)} & WEB, module


def test_the_domain_is_standard_library_only_and_does_no_io() -> None:
    for module in modules("domain"):
        for name in imports(module):
            top = name.split(".")[0]
            assert top == "app" or top in sys.stdlib_module_names - IO, f"{module} imports {name}"

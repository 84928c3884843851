"""No old name is left of what the restructuring renamed: a branch of before would bring it back unnoticed.

To stay until the next release, and to go with it.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TREES = ("app", "tests", "templates", "static/css", "bench", "docs", "scripts", "deploy")
TOP_LEVEL = ("README.md", "README.zh.md", "Makefile", "setup.cfg", "gunicorn.conf.py", "wsgi.py", "gpudock")
TEXTS = {".py", ".html", ".css", ".md", ".cfg", ".toml", ".po", ".service", ".conf", ".sh", ""}

# Old addresses, as paths and as they are imported, and what else is found by its letters alone in any file.
OLD_PATHS = re.compile(
    r"""
    \bapp[./](services|domain|api|pages|backends|auth|auth_loopback|forwarding|http_errors)\b
    | \bfrom\ app\ import\ .*\b(backends|forwarding|http_errors)\b(?!.*\bapp\.web\b)
    | \badapters[./](docker_\w+|nvml|nvml_\w+|simulated|overlay|probes|probes_\w+|stopping|tree_\w+|volume_\w+)\b
    | \btests/unit/(services|domain|api)\b
    | \bthings\.css\b
    | \bbench[./](crowd|rig)\b
    | \bfrom\ bench\ import\ .*\b(crowd|rig)\b
    """,
    re.VERBOSE,
)
# In templates and style sheets: the filter, the data of a page, and the list of alerts.
OLD_IN_PAGES = re.compile(r"\|\s*told\b|\bseen\.[a-z]|[.\"]concerns\b")
OLD_CLASSES = {
    *("Live", "Made", "Job", "Asker", "Seen", "Wanted", "Reported", "Gatherer", "Actor", "Circumstances", "Foreign"),
    *("ImageShelf", "Room", "Concern", "Changer", "Recreator", "Creator", "Deleter", "Committer"),
}
OLD_FUNCTIONS = {
    *("told", "said", "known_as", "carry_out", "compete", "guard", "abandon", "fails", "translated"),
    *("planned", "begun"),
}
# Old as the methods of one thing only; a local variable may be called so, and other things may be kept or settled.
OLD_METHODS = re.compile(r"\.(ready|place|way)$|store\.keep$|journal\.settle$")
OLD_METHOD_NAMES = {"ready", "place", "way"}


def files() -> Iterator[Path]:
    for tree in TREES:
        yield from (path for path in (ROOT / tree).rglob("*") if path.is_file() and path.suffix in TEXTS)
    yield from (ROOT / name for name in TOP_LEVEL)


def old_lines(path: Path) -> Iterator[int]:
    """The lines of a file in which an old address or an old name of the pages stands."""
    in_pages = path.suffix in (".html", ".css")
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if OLD_PATHS.search(line) or (in_pages and OLD_IN_PAGES.search(line)):
            yield number


def old_names(path: Path) -> Iterator[tuple[int, str]]:
    """The old classes and functions in a module: where they are defined, called or named, not in its prose."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ClassDef(name=name) | ast.Name(id=name) | ast.alias(name=name) if name in OLD_CLASSES:
                yield node.lineno, name
            case ast.FunctionDef(name=name) if name in OLD_FUNCTIONS:
                yield node.lineno, f"def {name}"
            case ast.FunctionDef(name=name, args=ast.arguments(args=[ast.arg("self"), *_])) if name in OLD_METHOD_NAMES:
                yield node.lineno, f"def {name}"
            case ast.Call(ast.Name(id=name) | ast.Attribute(attr=name) as called):
                if name in OLD_FUNCTIONS or OLD_METHODS.search(ast.unparse(called)):
                    yield node.lineno, f"{ast.unparse(called)}()"


def test_no_old_name_is_left() -> None:
    found = []
    for path in files():
        if path == Path(__file__):
            continue
        where = path.relative_to(ROOT)
        if OLD_PATHS.search(str(where)):
            found.append(f"{where} stands where it was")
        found += [f"{where}:{line}" for line in old_lines(path)]
        if path.suffix == ".py":
            found += [f"{where}:{line}: {name}" for line, name in old_names(path)]
    assert not found, "\n".join(["old names:", *found])


def test_the_words_are_looked_for() -> None:
    """The patterns find the old names and leave the new ones alone."""
    old = ("from app.services.operations.journal import Journal", "app/domain/texts.py", "app.adapters.tree_copy")
    new = ("from app.web.api import x", "app/adapters/treecopy/copy.py", "app.adapters.gpus.nvml", "app.web.auth")
    assert all(OLD_PATHS.search(line) for line in old) and not any(OLD_PATHS.search(line) for line in new)
    assert OLD_IN_PAGES.search("{{ seen.problems }}") and not OLD_IN_PAGES.search("as it was seen. Then")


def test_docstrings_name_what_they_are_about() -> None:
    """No docstring of the application is a riddle: it begins with a verb or with the name of the thing."""
    riddles = {"What", "Whether", "How", "Whose", "That", "Which", "Who", "Where", "Why"}
    found = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
        for path in sorted((ROOT / "app").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and (ast.get_docstring(node) or "").split(" ")[0] in riddles
    ]
    assert found == []

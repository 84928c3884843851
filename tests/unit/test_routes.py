"""Every address is found by searching for it: the whole path of a route stands in a decorator of its view."""

import ast
from collections.abc import Iterator
from pathlib import Path

from app import create_app
from tests.support.world import CONFIG

WEB = Path(__file__).parents[2] / "app" / "web"
# Flask and flask-smorest add these.
THEIRS = {"/static/<path:filename>", "/api/docs", "/api/openapi.json"}


def paths_in_decorators(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for call in node.decorator_list:
                match call:
                    case ast.Call(ast.Attribute(attr="route"), [ast.Constant(path)]):
                        yield path


def test_the_whole_path_of_each_route_stands_in_a_decorator() -> None:
    written = {path for module in WEB.rglob("*.py") for path in paths_in_decorators(ast.parse(module.read_text()))}
    served = {rule.rule for rule in create_app(CONFIG).url_map.iter_rules()}
    assert written == served - THEIRS

"""What the services tell people can be said in other languages, and nothing of it is lost on the way."""

import ast
import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import errors
from app.model.messages import Text, from_json, joined, to_json

APP = Path(errors.__file__).parent
# What is said to people: classes, and which of their arguments.
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and name != "DomainError"}
NAMING_A_PART = {name for name in ERRORS if issubclass(vars(errors)[name], errors.Unavailable)}
TOLD = {
    **dict.fromkeys(ERRORS, slice(0, 1)),
    **dict.fromkeys(NAMING_A_PART, slice(1, 2)),
    "Drift": slice(1, 3),
    "Alert": slice(3, 5),
}
GERMAN = {"GPU {uuid} is unhealthy: {why}": "GPU {uuid} ist krank: {why}", "it is gone": "sie ist weg"}


def text() -> Text:
    """A text with a text in it."""
    return Text("GPU {uuid} is unhealthy: {why}", uuid="GPU-1", why=Text("it is gone"))


def test_a_text_is_its_english_sentence() -> None:
    assert text() == "GPU GPU-1 is unhealthy: it is gone"
    assert Text('send {"cmd": []}') == 'send {"cmd": []}'
    assert Text("{name} is a name", name="{x}") == "{x} is a name"


def test_it_can_be_said_in_another_language_with_what_is_in_it() -> None:
    assert text().render(lambda template: GERMAN.get(template, template)) == "GPU GPU-1 ist krank: sie ist weg"


def test_joined_texts_are_translated_each() -> None:
    both = joined([text(), "as it is"])
    assert both == "GPU GPU-1 is unhealthy: it is gone; as it is"
    assert both.render(lambda template: GERMAN.get(template, template)) == "GPU GPU-1 ist krank: sie ist weg; as it is"


@pytest.mark.parametrize(
    "way", [lambda t: from_json(to_json(t)), lambda t: pickle.loads(pickle.dumps(t)), copy.deepcopy]
)
def test_it_can_be_kept(way) -> None:
    kept = way(text())
    assert kept == text()
    assert kept.render(lambda template: GERMAN.get(template, template)) == "GPU GPU-1 ist krank: sie ist weg"


def test_an_empty_text_is_not_looked_up() -> None:
    assert joined([]).render(lambda _: "Project-Id-Version: gpudock") == ""


def test_what_older_versions_kept_is_read() -> None:
    assert from_json("it is gone") == "it is gone" == to_json("it is gone")


def untold(path: Path) -> Iterator[str]:
    """Where a module tells people something in English only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            for argument in node.args[TOLD.get(name, slice(0, 0))]:
                if any(_is_plain(part) for part in _alternatives(argument)):
                    yield f"{path.relative_to(APP.parent)}:{argument.lineno}"


def _alternatives(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.IfExp):
        return [*_alternatives(node.body), *_alternatives(node.orelse)]
    if isinstance(node, ast.BoolOp):
        return [each for value in node.values for each in _alternatives(value)]
    if isinstance(node, ast.BinOp):
        return [*_alternatives(node.left), *_alternatives(node.right)]
    return [node]


def _is_plain(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_everything_that_people_are_told_is_a_text() -> None:
    assert [place for path in sorted(APP.rglob("*.py")) for place in untold(path)] == []

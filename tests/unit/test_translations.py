"""Every text of the pages and services is marked for translation, and every one is translated."""

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from app.web.pages.preferences import LANGUAGES

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted(ROOT.glob("app/translations/*/LC_MESSAGES/messages.po"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
METHODS = [("app/model/messages.py", "ignore"), ("app/**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
KEYWORDS = {
    **dict.fromkeys(("_", "_l", "gettext", "lazy_gettext", "Text")),
    **{"ngettext": (1, 2), "pgettext": ((1, "c"), 2)},
}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
BRACES = re.compile(r"\{\w+\}")
# A placeholder is an example of what to type.
SHOWN = {"aria-label", "title", "data-label", "alt"}
# What is called the same in every language.
NAMES = {
    *("gpudock", "API", "UTC", "GiB", "GB", "GPU", "UUID", "s", "W", "English", "Docker", "etcd"),
}
HOLE = "\x00"


def found_texts() -> set[tuple[str | None, str | tuple[str, ...]]]:
    """Every text that is marked, with its context; those for one and for many together."""
    every = extract_from_dir(ROOT, METHODS, OPTIONS, KEYWORDS)
    return {(about, tuple(text) if isinstance(text, (list, tuple)) else text) for _, _, text, _, about in every}


def catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, abort_invalid=True)


def test_every_language_that_can_be_chosen_has_a_catalogue() -> None:
    assert {path.parts[-3] for path in CATALOGUES} == set(LANGUAGES.values()) - {"en"}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_every_text_is_translated_and_nothing_else(path: Path) -> None:
    messages = {(message.context, message.id): message for message in catalogue(path) if message.id}
    texts = found_texts()
    assert len(texts) > 100
    assert not texts - set(messages), "run scripts/translations and translate what is new"
    assert not set(messages) - texts, "run scripts/translations: these are not used any more"
    for (_, text), message in messages.items():
        translations = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(translations) and not message.fuzzy, f"not translated: {text}"
        asked = set(PLACEHOLDER.findall(text if isinstance(text, str) else text[-1]))
        for translation in translations:
            assert set(PLACEHOLDER.findall(str(translation))) == asked, f"other placeholders: {text}"


def test_every_text_of_the_services_can_be_collected() -> None:
    modules = set(ROOT.glob("app/**/*.py")) - {ROOT / "app/model/messages.py"}
    assert [place for path in sorted(modules) for place in uncollectable(path)] == []


def uncollectable(path: Path) -> Iterator[str]:
    """Where a Text is made of what is no sentence with just the values that it gets."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Text":
            names = {f"{{{keyword.arg}}}" for keyword in node.keywords}
            made_of = node.args[0]
            if isinstance(made_of, ast.Attribute) and made_of.attr in ("kind", "state"):
                continue  # a recorded word: app/web/pages/words.py has it
            sentence = made_of.value if isinstance(made_of, ast.Constant) else None
            spread = "{None}" in names  # **values
            if not isinstance(sentence, str) or not (spread or names == set(BRACES.findall(sentence))):
                yield f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_the_compiled_catalogue_is_that_of_its_source(path: Path) -> None:
    compiled = BytesIO()
    write_mo(compiled, catalogue(path))
    assert compiled.getvalue() == path.with_suffix(".mo").read_bytes(), "run scripts/translations"


class Visible(HTMLParser):
    """Collects what a reader sees or hears."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("script", "style", "code", "kbd")
        self.texts += [value or "" for name, value in attrs if name in SHOWN]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "code", "kbd")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.texts.append(data)


def words(text: str) -> set[str]:
    """The words of a text that are no names. Parts of tags that a macro makes are no text."""
    return set(re.findall(r"[A-Za-z]+(?:_[A-Z]+)*", re.sub(r'[\w-]+="[^"]*"', " ", text))) - NAMES


def unmarked(source: str) -> set[str]:
    """The words in a template that are shown in every language as they are."""
    environment = Environment(extensions=["jinja2.ext.i18n"])
    tree = environment.parse(source)
    html, found = "", set[str]()
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            html += node.data if isinstance(node, nodes.TemplateData) else HOLE
            for shown in constants(node):
                if " " in shown.strip() and "=" not in shown:
                    found |= words(shown)
    visible = Visible()
    visible.feed(html)
    return found.union(*(words(text.replace(HOLE, " ")) for text in visible.texts))


def constants(node: nodes.Node) -> Iterator[str]:
    """The strings that an expression shows: not what is in calls, filters, comparisons or keys."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.CondExpr):
        yield from constants(node.expr1)
        if node.expr2 is not None:
            yield from constants(node.expr2)
    elif isinstance(node, nodes.Concat):
        for part in node.nodes:
            yield from constants(part)
    elif isinstance(node, (nodes.Or, nodes.Add)):
        yield from constants(node.left)
        yield from constants(node.right)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_every_visible_text_is_marked(path: Path) -> None:
    if path.name != "swagger_ui.html":  # an empty place for a program that speaks English
        assert not unmarked(path.read_text())


def test_what_is_not_marked_is_found() -> None:
    assert unmarked('<p title="Hello">{{ _("fine") }} there</p>') == {"Hello", "there"}
    assert unmarked('{{ "one thing" if x else "–" }}{{ y ~ " or other" }}') == {"one", "thing", "or", "other"}
    assert not unmarked('<p class="x" aria-label="{{ _("Go") }}">{% trans %}all <b>of it</b>{% endtrans %} GPU</p>')

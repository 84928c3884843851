"""Make the sentences that services tell people: English as it stands, and able to be said in another language."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Self, overload

Json = str | dict[str, Any]
# What can be kept as it is.
Value = str | float | None

# Marks a text that is kept with what it was made of, if it is a Text, so that it can still be translated.
SENTENCE = "sentence"
Sentence = Annotated[str, SENTENCE]


class Text(str):
    """An English sentence that remembers how it was made, so that a page can say it in its reader's language.

    `template` is what catalogues of translations know it by, `values` are what is put into its `{names}`: words and
    numbers, or other texts, which are translated with it. To everybody else it is a plain string.
    """

    template: str
    values: Mapping[str, Value]

    def __new__(cls, template: str, /, **values: Value) -> Self:
        """The text; a template without values may hold any braces."""
        self = super().__new__(cls, _filled(template, values))
        self.template, self.values = template, values
        return self

    def render(self, translate: Callable[[str], str]) -> str:
        """The text with its template, and those in it, as `translate` has them."""
        values = {name: render(value, translate) for name, value in self.values.items()}
        # Catalogues keep their header under the empty text.
        return _filled(translate(self.template), values) if self.template else ""


def render(value: object, translate: Callable[[str], str]) -> object:
    """`value` as `translate` has it if it is a Text; anything else as it is."""
    return value.render(translate) if isinstance(value, Text) else value


def joined(texts: Iterable[str], separator: str = "; ") -> Text:
    """All of them as one text."""
    values = {f"part{place}": text for place, text in enumerate(texts)}
    return Text(separator.join(f"{{{name}}}" for name in values), **values)


def to_json(text: str | None) -> Json | None:
    """The text as it is kept in etcd: with what it was made of, if it is a Text. None stays None."""
    if not isinstance(text, Text):
        return text
    values = {name: to_json(value) if isinstance(value, str) else value for name, value in text.values.items()}
    return {"text": text.template, "values": values}


@overload
def from_json(raw: Json) -> str: ...


@overload
def from_json(raw: None) -> None: ...


def from_json(raw: Json | None) -> str | None:
    """Read what `to_json` wrote, or older versions of gpudock as plain strings."""
    if not isinstance(raw, dict):
        return raw
    values = {name: from_json(value) if isinstance(value, dict) else value for name, value in raw["values"].items()}
    return Text(raw["text"], **values)


def _filled(template: str, values: Mapping[str, object]) -> str:
    return template.format(**values) if values else template

"""What of the services' texts is on a page in English, though it should be in Chinese."""

import re
from functools import cache
from html import unescape
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from app.model.messages import Text

_APP = Path(__file__).parents[2] / "app"
_PLACEHOLDER = re.compile(r"\{\w+\}")


def chinese(text: str) -> str:
    """The Text as it is to be read; AssertionError if it is none, or nothing of it is translated."""
    assert isinstance(text, Text), f"no page can translate this: {text}"
    found = text.render(in_chinese)
    assert found != text, f"not translated: {text}"
    return found


def english_on(html: str) -> list[str]:
    """The texts, as they stand in the source, of which a page has the longest part in English."""
    page = " ".join(unescape(html).split())
    return [template for template, words in _telling().items() if words in page]


def in_chinese(template: str) -> str:
    """What the catalogue says, the English if it has nothing."""
    return _catalogue().get(template) or template


@cache
def _catalogue() -> dict[str, str]:
    with (_APP / "translations/zh_Hans_CN/LC_MESSAGES/messages.po").open("rb") as file:
        return {message.id: message.string for message in read_po(file) if isinstance(message.id, str)}


@cache
def _telling() -> dict[str, str]:
    """By text the longest part between its placeholders, if that is more than one word and not in the Chinese one."""
    found = {}
    for _, _, template, _, _ in extract_from_dir(_APP, [("**.py", "python")], keywords={"Text": None}):
        longest = max(_PLACEHOLDER.split(template), key=len).strip()
        if " " in longest and longest not in in_chinese(template):
            found[template] = longest
    return found

"""Texts for people in the language of the page's reader."""

import flask_babel


def _(text: str, **values: object) -> str:
    """The text in that language, with `%(name)s` replaced by the value of that name."""
    return str(flask_babel.gettext(text, **values))

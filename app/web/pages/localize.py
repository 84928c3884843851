"""Texts of services, in the language of the page's reader."""

from app.model.messages import render
from app.web.pages.blueprint import blueprint
from app.web.pages.page_texts import _
from app.web.pages.words import meaning


@blueprint.app_template_filter()
def localize(text: str) -> str:
    """A Text in that language, the recorded words in it as pages have them; any other string as it is."""
    return str(render(text, _translated))


def _translated(template: str) -> str:
    return meaning(template) or _(template)

"""The parts that the forms for deleting a container or a volume share."""

from flask import request

from app.web.pages.form_actions import Refusal
from app.web.pages.page_texts import _

# How much goes: only what it holds, the newest version and all records, or every older version too.
KEEP, ERASE, EVERYTHING = "keep", "erase", "everything"


def wrong(name: str, newest: bool) -> Refusal | None:
    """Check the form that deletes the version `name`, the `newest` of its family or not; None if nothing is wrong.

    The name was not typed as it is, nothing was chosen, or the form is out of date.
    """
    if request.form.get("typed", "").strip() != name:
        return Refusal(_("nothing was deleted: type the name exactly as it is, %(name)s", name=name))
    if request.form.get("scope") not in (KEEP, ERASE, EVERYTHING):
        return Refusal(_("nothing was deleted: choose what is to be deleted"))
    if request.form["scope"] != ERASE and not newest:
        return Refusal(_("nothing was deleted: %(name)s is not the newest version any more", name=name))
    return None

"""The pages of containers: the list, one container with its versions, and a page for everything one can do with it."""

from flask import Blueprint

from app.pages import tables
from app.pages.containers import change, create, detail, image, inside, listing, power, remove


def register(blueprint: Blueprint) -> None:
    """Add the routes of this package."""
    for part in (tables, listing, create, detail, power, change, remove, image, inside):
        part.register(blueprint)

"""The pages of volumes: the list, one volume with its versions, and a page for everything one can do with it."""

from flask import Blueprint

from app.pages.volumes import change, create, detail, listing, remove


def register(blueprint: Blueprint) -> None:
    """Add the routes of this package."""
    for part in (listing, create, detail, change, remove):
        part.register(blueprint)

"""The pages of volumes: the list, one volume with its versions, and a page for everything one can do with it."""

from flask import Blueprint

from app.web.pages.volumes import change, create, delete, detail, listing


def register(blueprint: Blueprint) -> None:
    """Add the routes of this package."""
    for part in (listing, create, detail, change, delete):
        part.register(blueprint)

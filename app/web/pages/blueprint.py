"""The blueprint of the pages: modules with views, filters and hooks import it and add theirs by decorators."""

from flask import Blueprint

blueprint = Blueprint("pages", __name__)

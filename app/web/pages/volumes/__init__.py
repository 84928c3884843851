"""The pages of volumes: the list, one volume with its versions, and a page for everything one can do with it."""

# Importing a module adds its routes.
from app.web.pages.volumes import change, create, delete, detail, listing

__all__ = ["change", "create", "delete", "detail", "listing"]

"""The pages of containers: the list, one container with its versions, and a page for everything one can do with it."""

# Importing a module adds its routes.
from app.web.pages.containers import change, create, delete, detail, execute, image, listing, stop_restart

__all__ = ["change", "create", "delete", "detail", "execute", "image", "listing", "stop_restart"]

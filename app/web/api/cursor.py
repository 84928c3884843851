"""Opaque cursors of lists: where the next page begins."""

import base64
import binascii

from app import errors
from app.model.messages import Text


def write_cursor(after: str | None) -> str | None:
    """An opaque cursor for the page after `after`; None if there is none."""
    return base64.urlsafe_b64encode(after.encode()).decode() if after else None


def read_cursor(cursor: str | None) -> str | None:
    """Return the value that `write_cursor` was given; InvalidRequest for anything else."""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode() if cursor else None
    except (binascii.Error, ValueError) as exc:
        raise errors.InvalidRequest(Text("cursor must be the `next` of an earlier answer")) from exc

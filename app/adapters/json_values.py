"""Read the JSON objects that etcd holds, and refuse what nothing could be done with later."""

import json
from typing import Any

# gpudock's own records have less than ten levels. What is deeper would exhaust the stack somewhere, sooner or later.
_DEEPEST = 64


def parse_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in `text`; None if there is none, or it nests too deep."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not _too_deep(text, value) else None


def _too_deep(text: str, value: dict[str, Any]) -> bool:
    if text.count("[") + text.count("{") <= _DEEPEST:
        return False
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [child for children in inside for child in children if isinstance(child, dict | list)]
    return bool(level)

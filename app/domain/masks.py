"""Which environment variables hold what should not be read over somebody's shoulder."""

import re

_NAMES = re.compile(r"TOKEN|PASS|_PWD|SECRET|KEY|CREDENTIAL|AUTH|COOKIE", re.IGNORECASE)
# What stands for somebody in an address, as in postgres://me:secret@host/db or https://token@host.
_IN_ADDRESS = re.compile(r"://[^/?#@\s]+@")


def is_secret(name: str, value: str) -> bool:
    """Whether the value of a variable looks like a secret, by the variable's name or by what it is."""
    return bool(value) and bool(_NAMES.search(name) or _IN_ADDRESS.search(value))

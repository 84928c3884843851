"""Which environment variables hold what should not be read over somebody's shoulder."""

import re

_NAMES = re.compile(r"TOKEN|PASSW|PASSPHRASE|SECRET|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
# A name and a password in an address, as in postgres://me:secret@host/db.
_IN_ADDRESS = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def is_secret(name: str, value: str) -> bool:
    """Whether the value of a variable looks like a secret, by the variable's name or by what it is."""
    return bool(value) and bool(_NAMES.search(name) or _IN_ADDRESS.search(value))

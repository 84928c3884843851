"""Mask the values of environment variables and commands that nobody should read over a shoulder."""

import re
from collections.abc import Iterator, Sequence

_TELLING = "TOKEN|PASS|_PWD|SECRET|KEY|CREDENTIAL|AUTH|COOKIE"
_NAMES = re.compile(_TELLING, re.IGNORECASE)
# What stands for somebody in an address, as in postgres://me:secret@host/db or https://token@host.
_IN_ADDRESS = re.compile(r"://[^/?#@\s]+@")

_NAME = rf"(?=[\w.-]*(?:{_TELLING}))[\w.-]+"
# As a shell reads a value. One that begins with a quotation mark without a partner goes on to the end.
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\;&|<>()])+|["'\\].*"""
_OPTION = re.compile(rf"-{_NAME}", re.IGNORECASE)
# The word after it is a program and not a value: sh -c, bash -lc, python -c.
_PROGRAM_NEXT = re.compile(r"-[a-zA-Z]*c")
_WHOLE = re.compile(rf"((?:[\w.-]+=)*?{_NAME}(?:=|:\s+))(.+)", re.IGNORECASE | re.DOTALL)
_INSIDE = re.compile(rf"(?<![\w.-])((?:{_NAME}=|(?=-){_NAME}\s+(?!-)))({_VALUE})", re.IGNORECASE | re.DOTALL)
# Of a request; after one of these options it needs no space: curl -H Name:value.
_HEADER_NEXT = ("-H", "--header")
_AS_HEADER = re.compile(rf"({_NAME}:\s*)(.+)", re.IGNORECASE | re.DOTALL)
_AFTER_OPTION = r"(?<![\w.-])(?-i:-H|--header)[\s=]*"
_HEADER = re.compile(rf"""((?:{_AFTER_OPTION}["']{_NAME}:\s*|["']{_NAME}:\s+))([^"']+)""", re.IGNORECASE)
_BARE_HEADER = re.compile(rf"""({_AFTER_OPTION}{_NAME}:)([^\s"';&|<>()]+)""", re.IGNORECASE)
_SOMEBODY = re.compile(r"(://(?:[^/?#:@\s]*:)?)([^/?#\s]+)(?=@)")


def is_secret(name: str, value: str) -> bool:
    """Tell if the value of a variable looks like a secret, by the variable's name or by what it is."""
    return bool(value) and bool(_NAMES.search(name) or _IN_ADDRESS.search(value))


def masked_command(words: Sequence[str], hidden: str) -> tuple[str, ...]:
    """The words of a command with `hidden` in place of each secret; everything else stays as it is.

    A secret is what follows the name of one, as in `--password x`, `--password=x` and `TOKEN=x` (also within a word,
    which may be a program for a shell), in the header of a request, and what stands for somebody in an address.
    """
    return tuple(_masked(words, hidden))


def _masked(words: Sequence[str], hidden: str) -> Iterator[str]:
    before = ""
    for word in words:
        is_value = bool(word) and not word.startswith("-") and _OPTION.fullmatch(before)
        yield hidden if is_value else _masked_word(word, hidden, before)
        before = word


def _masked_word(word: str, hidden: str, before: str) -> str:
    whole = _AS_HEADER if before in _HEADER_NEXT else _WHOLE
    if not _PROGRAM_NEXT.fullmatch(before) and (named := whole.fullmatch(word)):
        return named[1] + hidden
    for secret in (_INSIDE, _HEADER, _BARE_HEADER, _SOMEBODY):
        word = secret.sub(lambda found: found[1] + hidden, word)
    return word

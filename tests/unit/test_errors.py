"""Every condition that came after the first contract has a code of its own: clients switch on it."""

from collections import Counter

from app import errors


def test_no_code_of_ours_is_given_twice() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DomainError)}
    codes = Counter(kind.code for kind in kinds if "code" in vars(kind) and kind.code > 2000)
    assert [code for code, times in codes.items() if times > 1] == []

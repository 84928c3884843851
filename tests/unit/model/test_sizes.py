from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest, SizeUnitUnsupported
from app.model.sizes import LARGEST, SMALLEST, UNITS, human, parse_size

WORDS = st.sampled_from(sorted(UNITS)).flatmap(
    lambda unit: st.tuples(*(st.sampled_from([letter, letter.lower()]) for letter in unit)).map("".join)
)


@given(st.integers(1, 4096), WORDS)
def test_units_are_binary_and_in_any_case(number: int, unit: str) -> None:
    expected = number * UNITS[unit.upper()]
    if expected >= SMALLEST:
        size = parse_size(f"{number}{unit}")
        assert (size.bytes, size.text) == (expected, f"{number}{unit.upper()}")
        assert parse_size(size.text) == size


@given(st.integers(1, 2**20), st.sampled_from([("GB", "MB"), ("MB", "KB"), ("TB", "GB")]))
def test_a_unit_is_1024_of_the_next(number: int, units: tuple[str, str]) -> None:
    large, small = units
    assert parse_size(f"{number}{large}").bytes == parse_size(f"{number * 1024}{small}").bytes


@given(st.decimals(1, 1000, places=3, allow_nan=False, allow_infinity=False))
def test_fractions_are_exact_to_the_byte(number: object) -> None:
    assert parse_size(f"{number}GB").bytes == int(Fraction(str(number)) * UNITS["GB"])


@given(st.text(max_size=12))
def test_every_other_text_is_refused_by_name(text: str) -> None:
    try:
        assert SMALLEST <= parse_size(text).bytes <= LARGEST
    except InvalidRequest as exc:
        assert exc.code in (1002, 1028)


def test_20_gb_are_20480_mb() -> None:
    assert parse_size("20GB").bytes == parse_size("20480mb").bytes == 20 * 2**30


@pytest.mark.parametrize("text", ["20 gigs", "20GiB", "20", "20G", "20B", "", "20 PB", "20GB "])
def test_another_unit_is_refused(text: str) -> None:
    with pytest.raises(SizeUnitUnsupported):
        parse_size(text)


@pytest.mark.parametrize("text", ["1e3GB", "-1GB", "0GB", "+1GB", "GB", "1,5GB", "1.GB", "٣GB", "9" * 30 + "TB"])
def test_another_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_size(text)
    assert caught.value.code == 1002


@given(st.integers(0, 2**62))
def test_people_get_at_most_one_decimal(size: int) -> None:
    number, _, unit = human(size).partition(" ")
    assert unit in (*UNITS, "bytes") and (number.isdecimal() or number.partition(".")[2].isdecimal())

"""Families and versions: what is a legal name, and that names survive a round trip."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ContainerNameHasDash, ContainerNameLacksVersion, ContainerNameMissing, DomainError, NameIllegal
from app.model.names import MAX_FAMILY, Name, check_family, parse, versioned

# The pattern that Docker itself applies to container names (it wants two characters at least; foo-0 always has them).
DOCKER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)
FAMILIES = st.from_regex(rf"[a-zA-Z0-9][a-zA-Z0-9_.]{{0,{MAX_FAMILY - 1}}}", fullmatch=True)
VERSIONS = st.integers(0, 999_999_999)


@given(FAMILIES, VERSIONS)
def test_a_versioned_name_is_read_back_as_it_was_written(family, version):
    assert parse(versioned(family, version)) == Name(family, version)
    assert str(Name(family, version)) == versioned(family, version) == f"{family}-{version}"


@given(FAMILIES)
def test_a_bare_family_means_its_newest_version(family):
    assert parse(family) == Name(family, None)
    assert str(parse(family)) == family


@given(st.text(max_size=20) | st.from_regex(r"[a-z_.\-0-9]{1,8}", fullmatch=True))
def test_whatever_is_accepted_is_a_legal_docker_name_and_prints_as_it_was_given(text):
    try:
        name = parse(text)
    except DomainError:
        return
    assert str(name) == text
    assert DOCKER.fullmatch(versioned(name.family, name.version or 0))


@pytest.mark.parametrize("name", ["foo-", "foo-x", "foo-01", "foo-+1", "foo-1 ", "foo-1\n", "foo-٣", "foo-1234567890"])
def test_what_follows_the_dash_must_be_a_version_number(name):
    with pytest.raises(ContainerNameLacksVersion) as caught:
        parse(name)
    assert caught.value.code == 1007


@pytest.mark.parametrize("name", ["foo-bar-1", "foo--1", "-foo-1"])
def test_a_second_dash_is_refused(name):
    with pytest.raises(ContainerNameHasDash) as caught:
        parse(name)
    assert caught.value.code == 1006


@pytest.mark.parametrize("family", ["foo-1", "-", "a-b"])
def test_a_family_has_no_dash(family):
    with pytest.raises(ContainerNameHasDash):
        check_family(family)


@pytest.mark.parametrize("name", ["", "-0"])
def test_the_family_must_not_be_missing(name):
    with pytest.raises(ContainerNameMissing) as caught:
        parse(name)
    assert caught.value.code == 1005


@pytest.mark.parametrize(
    "family", ["/foo", ".foo", "_foo", "foo bar", "foo\n", "../foo", "föö", "foo/bar", "foo:1", "٣"]
)
def test_a_family_that_docker_would_not_accept_is_illegal(family):
    with pytest.raises(NameIllegal) as caught:
        check_family(family)
    assert caught.value.code == 2001


def test_a_family_has_at_most_128_characters():
    assert check_family("a" * 128) == "a" * 128
    with pytest.raises(NameIllegal, match="128"):
        check_family("a" * 129)

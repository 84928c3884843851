"""What one version has otherwise than another, and which values are secrets."""

from dataclasses import replace

import pytest

from app.model.container import Bind, PortMapping, Spec
from app.model.redaction import is_secret
from app.model.spec_diff import KINDS, Difference, differences, variables

OLD = Spec(
    image="img:1",
    gpu_count=1,
    binds=(Bind("vol-0", "/vol"), Bind("/data/x", "/x")),
    env=("A=1", "B=x=y"),
    cmd=("sh", "-c", "true"),
    ports=(PortMapping(40000, 22), PortMapping(40001, 80)),
)


def test_equal_specs_have_no_differences() -> None:
    assert differences(OLD, OLD) == ()
    assert differences(OLD, replace(OLD, binds=OLD.binds[::-1], env=OLD.env[::-1], ports=OLD.ports[::-1])) == ()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"image": "img:2"}, [("image", "", "img:1", "img:2")]),
        ({"gpu_count": 0}, [("gpus", "", "1", "0")]),
        ({"binds": (Bind("vol-1", "/vol"),)}, [("mount", "/vol", "vol-0", "vol-1"), ("mount", "/x", "/data/x", None)]),
        ({"binds": (*OLD.binds, Bind("new-0", "/new"))}, [("mount", "/new", None, "new-0")]),
        ({"ports": (PortMapping(2222, 22), PortMapping(40001, 80))}, [("port", "22", "40000", "2222")]),
        ({"ports": (*OLD.ports, PortMapping(40002, 80))}, [("port", "80", "40001", "40001, 40002")]),
        ({"env": ("A=2", "C=")}, [("env", "A", "1", "2"), ("env", "B", "x=y", None), ("env", "C", None, "")]),
        ({"cmd": ()}, [("command", "", "sh -c true", None)]),
    ],
)
def test_each_difference_is_told(changed: dict[str, object], expected: list[tuple[str, str, str | None, str]]) -> None:
    found = differences(OLD, replace(OLD, **changed))  # type: ignore[arg-type]
    assert list(found) == [Difference(*one) for one in expected]
    back = differences(replace(OLD, **changed), OLD)  # type: ignore[arg-type]
    assert set(back) == {Difference(kind, subject, after, before) for kind, subject, before, after in expected}


def test_several_come_in_the_order_of_their_kinds() -> None:
    found = differences(OLD, Spec(image="other"))
    kinds = [difference.kind for difference in found]
    assert kinds == sorted(kinds, key=KINDS.index) and set(kinds) == set(KINDS)


def test_of_a_variable_that_is_given_twice_the_last_value_counts() -> None:
    assert variables(Spec(image="x", env=("A=1", "A=2", "B="))) == {"A": "2", "B": ""}


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("API_TOKEN=x", True),
        ("MYSQL_ROOT_PASSWORD=x", True),
        ("passwd=x", True),
        ("AWS_SECRET_ACCESS_KEY=x", True),
        ("ssh_passphrase=x", True),
        ("GOOGLE_APPLICATION_CREDENTIALS=/x", True),
        ("BASIC_AUTH=a:b", True),
        ("URL=postgres://me:hush@host/db", True),
        ("URL=https://token@host/repository.git", True),
        ("DB_PASS=x", True),
        ("POSTGRES_PWD=x", True),
        ("PWD=/root", False),
        ("URL=https://host:8080/path@x", False),
        ("API_TOKEN=", False),
        ("USER=foo", False),
        ("NCCL_DEBUG=INFO", False),
    ],
)
def test_secrets_are_told_by_name_or_value(line: str, secret: bool) -> None:
    name, _, value = line.partition("=")
    assert is_secret(name, value) == secret

"""Secrets in environments and commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.redaction import is_secret, masked_command

H = "***"
LONG = 100_000


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("API_KEY", "x", True),
        ("api_key", "x", True),
        ("PASSWORD", "", False),
        ("HOME", "/root", False),
        ("URL", "https://me:x@host/", True),
        ("URL", "https://host/a@b", False),
    ],
)
def test_a_variable_is_secret_by_its_name_or_by_what_it_is(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) == secret


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        # options
        (["serve", "--password=x y"], ["serve", f"--password={H}"]),
        (["serve", "--password", "x y", "--port", "80"], ["serve", "--password", H, "--port", "80"]),
        (["serve", "-Password", "x"], ["serve", "-Password", H]),
        (["serve", "--hf.auth-token", "x"], ["serve", "--hf.auth-token", H]),
        (["serve", "--no-auth", "--verbose"], ["serve", "--no-auth", "--verbose"]),
        (["serve", "--password", ""], ["serve", "--password", ""]),
        (["serve", "--password="], ["serve", "--password="]),
        (["serve", "password", "x"], ["serve", "password", "x"]),
        (["serve", "--password"], ["serve", "--password"]),
        # variables
        (["env", "-e", "TOKEN=x y", "me"], ["env", "-e", f"TOKEN={H}", "me"]),
        (["run", "--env=TOKEN=x y"], ["run", f"--env=TOKEN={H}"]),
        (["HF_TOKEN=x=y==", "serve"], [f"HF_TOKEN={H}", "serve"]),
        (["A=1", "serve"], ["A=1", "serve"]),
        # programs
        (["sh", "-c", "API_KEY=x python train.py"], ["sh", "-c", f"API_KEY={H} python train.py"]),
        (["bash", "-lc", "A=1 TOKEN='x y' B=2; ls"], ["bash", "-lc", f"A=1 TOKEN={H} B=2; ls"]),
        (["bash", "-c", 'export KEY="x \\" y"&&ls'], ["bash", "-c", f"export KEY={H}&&ls"]),
        (["bash", "-c", "KEY=x\\ y ls"], ["bash", "-c", f"KEY={H} ls"]),
        (["bash", "-c", "KEY=x'y z'w ls"], ["bash", "-c", f"KEY={H} ls"]),
        (["bash", "-c", 'KEY="x y'], ["bash", "-c", f"KEY={H}"]),
        (["sh", "-c", "me --password x --port 80"], ["sh", "-c", f"me --password {H} --port 80"]),
        (["sh", "-c", "me --password 'x y'\nls"], ["sh", "-c", f"me --password {H}\nls"]),
        (["sh", "-c", "me --no-auth --port 80"], ["sh", "-c", "me --no-auth --port 80"]),
        (["sh", "-c", "me KEY= ls"], ["sh", "-c", "me KEY= ls"]),
        (["sh", "-c", "me; KEY=; ls"], ["sh", "-c", "me; KEY=; ls"]),
        (["python", "-c", "login(token='x')"], ["python", "-c", f"login(token={H})"]),
        (["me", "a TOKEN=x b"], ["me", f"a TOKEN={H} b"]),
        # headers
        (["curl", "-H", "Authorization: Bearer x"], ["curl", "-H", f"Authorization: {H}"]),
        (["sh", "-c", "curl -H 'X-Api-Key: x y' a"], ["sh", "-c", f"curl -H 'X-Api-Key: {H}' a"]),
        (["curl", "-H", "Accept: text/html"], ["curl", "-H", "Accept: text/html"]),
        (["curl", "-H", "X-Api-Key:x", "a:b"], ["curl", "-H", f"X-Api-Key:{H}", "a:b"]),
        (
            ["curl", "--header=X-Api-Key:x", "-HAuthorization:x"],
            ["curl", f"--header=X-Api-Key:{H}", f"-HAuthorization:{H}"],
        ),
        (["sh", "-c", "curl -H 'X-Api-Key:x y' a"], ["sh", "-c", f"curl -H 'X-Api-Key:{H}' a"]),
        (["sh", "-c", "curl -H X-Api-Key:x a; ls"], ["sh", "-c", f"curl -H X-Api-Key:{H} a; ls"]),
        (["mysql", "-h", "key-store:3306"], ["mysql", "-h", "key-store:3306"]),
        (["sh", "-c", "mysql -h key-store:3306"], ["sh", "-c", "mysql -h key-store:3306"]),
        (["run", "-v", "/key:/key", "auth:latest"], ["run", "-v", "/key:/key", "auth:latest"]),
        # addresses
        (["me", "postgres://me:x@host:5432/db"], ["me", f"postgres://me:{H}@host:5432/db"]),
        (["me", "postgres://me:p:x@y@host/db"], ["me", f"postgres://me:{H}@host/db"]),
        (["git", "clone", "https://x@host/a.git"], ["git", "clone", f"https://{H}@host/a.git"]),
        (["me", "redis://:x@host"], ["me", f"redis://:{H}@host"]),
        (["me", "https://host/a?token=x&b=1#c"], ["me", f"https://host/a?token={H}&b=1#c"]),
        (["me", "https://host/a@b?c=d@e"], ["me", "https://host/a@b?c=d@e"]),
        (["me", "a@b", "--to", "me:x@host"], ["me", "a@b", "--to", "me:x@host"]),
        (["me", "--url=https://me:x@host/a"], ["me", f"--url=https://me:{H}@host/a"]),
        ([], []),
    ],
)
def test_the_secrets_of_a_command_are_hidden_and_nothing_else(words: list[str], shown: list[str]) -> None:
    assert masked_command(words, H) == tuple(shown)


# Whoever names nothing like a secret, and nobody in an address, has nothing hidden.
HARMLESS = st.text(st.characters(exclude_characters="aksACKPSTpt@")) | st.sampled_from(
    ["-c", "--lr=1e-3", "--model", "HOME=/root", "'", '"', "\\", "a=b c=d", "me@host", "://", "https://host/a"]
)


@given(st.lists(HARMLESS))
def test_everything_else_stays_as_it_is(words: list[str]) -> None:
    assert masked_command(words, H) == tuple(words)


SECRET = st.text(st.characters(categories=["L", "Nd"]), min_size=12)
AROUND = st.sampled_from(
    [
        ("--password", "{}"),
        ("--password={}",),
        ("-e", "API_KEY={}"),
        ("-e", "API_KEY=a {} 'b"),
        ("sh", "-c", "A=1 TOKEN={} me"),
        ("sh", "-c", "TOKEN=a\\ {} me"),
        ("sh", "-c", "me --token '{} b'"),
        ("https://me:{}@host",),
    ]
)


@given(st.lists(HARMLESS.filter(lambda word: not word.startswith("-"))), AROUND, SECRET, st.lists(HARMLESS))
def test_a_secret_is_hidden_whatever_stands_around_it(
    before: list[str], around: tuple[str, ...], secret: str, after: list[str]
) -> None:
    shown = masked_command([*before, *(word.format(secret) for word in around), *after], H)
    assert secret not in " ".join(shown[len(before) : len(before) + len(around)])
    assert shown[: len(before)] == tuple(before) and shown[len(before) + len(around) :] == tuple(after)


@given(st.lists(st.text() | SECRET.map("--password={}".format) | SECRET.map("https://me:{}@host".format)))
def test_masking_twice_is_masking_once_and_keeps_the_number_of_words(words: list[str]) -> None:
    once = masked_command(words, "••••••")
    assert len(once) == len(words) and masked_command(once, "••••••") == once


@pytest.mark.parametrize(
    "part", ["a", "-a", "token", "key=", "'", "\\", "://", "a:", "--key ", "=", "a b ", "-H", "-H "]
)
def test_long_commands_are_masked_at_once(part: str) -> None:
    masked_command(["sh", "-c", part * (LONG // len(part))], H)

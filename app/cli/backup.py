"""`gpudock backup` and `gpudock restore`: the state in etcd, to a file and back."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import click
from flask import current_app
from flask.cli import with_appcontext

from app.adapters.etcd import EtcdStore
from app.adapters.host import LocalHost
from app.bootstrap import Services
from app.config import Config
from app.errors import DomainError
from app.model.backup import Backup, parse, render
from app.model.node import NodeLeader
from app.state.backup import Backups
from app.state.codec import try_read
from app.state.keys import reconciler_key

# Seconds for one request: everything at once takes longer than what a service asks for.
_PATIENCE = 30.0


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@with_appcontext
def backup(file: str) -> None:
    """Write the whole state in etcd, of all nodes, to FILE ("-": standard output), readable by its owner only."""
    with _translate_errors(), _store() as store:
        taken = Backups(store, _config().prefix).take()
    if file == "-":
        sys.stdout.write(render(taken))
    else:
        _write(Path(file), render(taken))
    click.echo(f"saved {taken}", err=True)
    if taken.operations:
        click.echo("the running operations count as broken off after a restore: most are undone then", err=True)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Put it in the place of what is there, which is saved beside FILE first.")
@with_appcontext
def restore(file: str, replace: bool) -> None:
    """Bring the state in FILE back into etcd. Stop gpudock on every node first."""
    with _translate_errors(), _store() as store:
        saved = parse(_read(Path(file)))
        _warn(store, saved)
        Backups(store, _config().prefix).restore(saved, replace, _saver(Path(file)))
    click.echo(f"restored {saved}")
    click.echo(_what_next())


def _what_next() -> str:
    try:
        _services().guard.check()
    except DomainError as exc:
        return f"note: {exc.message}"
    return "etcd explains everything that Docker has on this node; start gpudock again"


def _warn(store: EtcdStore, saved: Backup) -> None:
    prefix, node = _config().prefix, _config().node
    if saved.prefix != prefix:
        click.echo(f"note: the backup was made at {saved.prefix} and goes to {prefix}", err=True)
    if node not in saved.nodes:
        known = ", ".join(saved.nodes) or "no node"
        click.echo(f"note: the backup knows {known}, and nothing of this node, {node}", err=True)
    leader = try_read(NodeLeader, store.get(reconciler_key(node)))
    if leader and LocalHost().process_alive(leader.owner):
        click.echo("warning: gpudock runs on this node: stop it (make stop), or it works with half a state", err=True)


def _saver(file: Path) -> Callable[[Backup], None]:
    def save(found: Backup) -> None:
        beside = file.with_name(f"{file.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}")
        _write(beside, render(found))
        click.echo(f"what was there is saved as {beside}: {found}")

    return save


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii", errors="replace")
    except OSError as exc:
        raise click.ClickException(f"{file} cannot be read: {exc.strerror}") from exc


def _write(file: Path, text: str) -> None:
    """All of it on disk, or nothing: an older file is replaced only in the end."""
    if file.exists() and not file.is_file():
        raise click.ClickException(f"{file} is no regular file; give another name, or - for standard output")
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        try:
            with os.fdopen(fd, "w") as out:
                out.write(text)
                out.flush()
                os.fsync(fd)
            Path(temporary).replace(file)
        finally:
            Path(temporary).unlink(missing_ok=True)
        directory = os.open(file.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as exc:
        raise click.ClickException(f"{file} cannot be written: {exc.strerror}") from exc


@contextmanager
def _store() -> Iterator[EtcdStore]:
    store = EtcdStore(_config().etcd, _config().prefix, _PATIENCE)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except DomainError as exc:
        raise click.ClickException(f"{exc.message} (error {exc.code})") from exc


def _config() -> Config:
    return _services().config


def _services() -> Services:
    return cast(Services, current_app.extensions["gpudock"])

"""Commands of `flask`."""

import json
from dataclasses import asdict

import click
from flask import Flask

from app.adapters import probes
from app.commands.adopt import adopt
from app.commands.backup import backup, restore
from app.commands.continuity import accept_restored_state, examine_state
from app.commands.nodes import examine_nodes
from app.commands.reconcile import reconcile
from app.config import ConfigError, load
from app.domain.findings import Finding, Status, fail


def init_app(app: Flask) -> None:
    """Make the commands known to `flask`."""
    app.cli.add_command(accept_restored_state)
    app.cli.add_command(adopt)
    app.cli.add_command(backup)
    app.cli.add_command(doctor)
    app.cli.add_command(reconcile)
    app.cli.add_command(restore)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: ok, and the findings.")
def doctor(as_json: bool) -> None:
    """Examine Docker, etcd, the GPUs and the host, and say what to do; exit code 1 if anything fails."""
    findings = _findings()
    healthy = all(finding.status is not Status.FAIL for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        click.echo("\n".join(map(str, findings)))
    raise SystemExit(0 if healthy else 1)


def _findings() -> list[Finding]:
    try:
        config = load()
        return [*probes.examine(config), examine_state(config), examine_nodes(config)]
    except ConfigError as exc:
        return [fail("settings", str(exc), "mend that variable; nothing else was examined")]

"""`gpudock doctor`: examines each part and says what to do about it."""

import json
from dataclasses import asdict

import click

from app.adapters.doctor import host
from app.cli.nodes import examine_nodes
from app.cli.records import examine_records
from app.cli.restored_state import examine_state
from app.cli.stuck import examine_operations
from app.config import ConfigError, load
from app.model.findings import Finding, Status, fail


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
        states = [examine_state(config), examine_records(config), examine_nodes(config), examine_operations(config)]
        return [*host.examine(config), *states]
    except ConfigError as exc:
        return [fail("settings", str(exc), "mend that variable; nothing else was examined")]

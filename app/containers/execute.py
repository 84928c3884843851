"""Work in one container as it is: execute a command, read its log."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import CommandTimeout, ContainerNotFound, InvalidRequest
from app.model.container import ExecResult, VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.validation import check_command
from app.ports import Exec
from app.state.containers import Records

OUTPUT_CAP = 1 << 20


@dataclass(frozen=True)
class ContainerExec:
    """Works in containers of any version; a command may take `timeout` seconds."""

    records: Records
    exec: Exec
    timeout: float

    def execute(self, name: Name, cmd: Sequence[str], work_dir: str | None) -> ExecResult:
        """Run `cmd` in the container and return what it printed, at most OUTPUT_CAP bytes of each stream.

        Raises CommandTimeout, with the output so far, when it outruns the configured deadline.
        """
        if not cmd:
            raise InvalidRequest(Text("cmd is missing; give the program and its arguments as a list"))
        check_command([*cmd, work_dir or ""])
        container = existing(self.records, name).container_id
        result = self.exec.execute(container, cmd, work_dir, self.timeout, OUTPUT_CAP)
        if result.timed_out:
            raise self._timed_out(result)
        return result

    def logs(self, name: Name, tail: int) -> str:
        """Return the last `tail` lines that the container's main process printed."""
        return self.exec.logs(existing(self.records, name).container_id, tail)

    def _timed_out(self, result: ExecResult) -> CommandTimeout:
        return CommandTimeout(
            Text(
                "the command ran longer than {seconds} s and was killed; run long jobs in the background",
                seconds=f"{self.timeout:g}",
            ),
            seconds=self.timeout,
            stdout=result.stdout,
            stderr=result.stderr,
        )


def existing(records: Records, name: Name) -> VersionRecord:
    """Read the record of a version; ContainerNotFound if its container was deleted."""
    record = records.version(name)
    if record.removed:
        raise ContainerNotFound(
            Text("{name} was deleted, only its record is kept; restart brings it back", name=record.name)
        )
    return record

"""What is done with one container as it is: execute a command, read its log."""

from collections.abc import Sequence

from app.errors import CommandTimeout, ContainerNotFound, InvalidRequest
from app.model.container import ExecResult, VersionRecord
from app.model.messages import Text
from app.model.names import Name
from app.model.validation import check_command
from app.ports import Exec
from app.state.containers import Records

OUTPUT_CAP = 1 << 20


class ContainerExec:
    """Works in containers of any version."""

    def __init__(self, records: Records, exec: Exec, timeout: float) -> None:
        self._records = records
        self._exec = exec
        self._timeout = timeout

    def execute(self, name: Name, cmd: Sequence[str], work_dir: str | None) -> ExecResult:
        """Run `cmd` in the container and return what it printed, at most OUTPUT_CAP bytes of each stream.

        Raises CommandTimeout, with the output so far, when it outruns the configured deadline.
        """
        if not cmd:
            raise InvalidRequest(Text("cmd is missing; give the program and its arguments as a list"))
        check_command([*cmd, work_dir or ""])
        record = self._existing(name)
        result = self._exec.execute(record.container_id, cmd, work_dir, self._timeout, OUTPUT_CAP)
        if result.timed_out:
            raise CommandTimeout(
                Text(
                    "the command ran longer than {seconds} s and was killed; run long jobs in the background",
                    seconds=f"{self._timeout:g}",
                ),
                seconds=self._timeout,
                stdout=result.stdout,
                stderr=result.stderr,
            )
        return result

    def logs(self, name: Name, tail: int) -> str:
        """The last `tail` lines that the container's main process printed."""
        return self._exec.logs(self._existing(name).container_id, tail)

    def _existing(self, name: Name) -> VersionRecord:
        record = self._records.version(name)
        if record.removed:
            raise ContainerNotFound(
                Text("{name} was deleted, only its record is kept; restart brings it back", name=record.name)
            )
        return record

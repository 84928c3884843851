"""How a container came to its end, for people."""

from datetime import UTC, datetime

from app.domain.containers import Inspected, Observed
from app.domain.texts import Text


def how_it_ended(seen: Observed) -> Text:
    """The end of a container that does not run, as far as Docker tells."""
    if not isinstance(seen, Inspected):
        said = Text('Docker says "{status}"', status=seen.status)
        return said if seen.status else Text("Docker calls it {state}", state=seen.state)
    if not seen.started:
        return Text("it was never started")
    code = seen.exit_code
    if seen.out_of_memory:
        return Text(
            "the kernel killed it for want of memory{when} (exit code {code})", when=_when(seen.ended), code=code
        )
    exit_code = Text("exit code {code} (signal {signal})", code=code, signal=code - 128)
    return Text(
        "it ended by itself or was stopped by hand{when} with {exit_code}",
        when=_when(seen.ended),
        exit_code=exit_code if code > 128 else Text("exit code {code}", code=code),
    )


def _when(ended: float | None) -> str:
    if ended is None:
        return ""
    return Text(" at {time} UTC", time=f"{datetime.fromtimestamp(ended, UTC):%Y-%m-%d %H:%M:%S}")

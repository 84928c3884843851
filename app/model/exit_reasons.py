"""Explain to people how a container came to its end."""

from datetime import UTC, datetime

from app.model.container import Inspected, Observed
from app.model.messages import Text


def how_it_ended(seen: Observed) -> Text:
    """The end of a container that does not run, as far as Docker tells."""
    if not isinstance(seen, Inspected):
        return _as_listed(seen)
    if not seen.started:
        return Text("it was never started")
    time = None if seen.ended is None else f"{datetime.fromtimestamp(seen.ended, UTC):%Y-%m-%d %H:%M:%S}"
    return _killed(seen.exit_code, time) if seen.out_of_memory else _ended(seen.exit_code, time)


def _as_listed(seen: Observed) -> Text:
    if seen.status:
        return Text('Docker says "{status}"', status=seen.status)
    return Text("Docker calls it {state}", state=seen.state)


def _killed(code: int, time: str | None) -> Text:
    if time is None:
        return Text("the kernel killed it for want of memory (exit code {code})", code=code)
    return Text("the kernel killed it for want of memory at {time} UTC (exit code {code})", time=time, code=code)


def _ended(code: int, time: str | None) -> Text:
    exit_code = Text("exit code {code}", code=code)
    if code > 128:
        exit_code = Text("exit code {code} (signal {signal})", code=code, signal=code - 128)
    if time is None:
        return Text("it ended by itself or was stopped by hand with {exit_code}", exit_code=exit_code)
    return Text(
        "it ended by itself or was stopped by hand at {time} UTC with {exit_code}", time=time, exit_code=exit_code
    )

"""Stopping a container so that nobody is waited for in vain and everybody who can gets to save its work.

`docker stop` tells process 1 only, and waits its whole timeout for a shell there, to which the kernel does
not even deliver the signal. Here every process is told, and the wait ends with the last one that can react.
"""

import math
import re
import signal
import time

from docker import APIClient
from docker.errors import APIError

from app.adapters.docker.processes import Process, processes, wait
from app.errors import StopFailed
from app.model.messages import Text

GONE_WITHIN = 30
_MOMENT = 1.0
_RTMIN = re.compile(r"RTMIN\+?(\d*)")


def stop(client: APIClient, patient: APIClient, ref: str, timeout: float) -> None:
    """Stop a container: tell every process, wait about `timeout` seconds at most, kill, see that Docker knows.

    StopFailed if it does not end even so. `patient` must wait for answers longer than `timeout`.
    """
    container = client.inspect_container(ref)
    identity, state = container["Id"], container["State"]
    if not state["Running"]:
        return
    if state["Paused"]:
        client.unpause(identity)
    number = signal_number(container["Config"].get("StopSignal"))
    if _tell_all(client, identity, state["Pid"], number, timeout):
        _kill(patient, identity)
    else:
        patient.stop(identity, timeout=math.ceil(timeout))
    _wait_until_stopped(client, identity)


def signal_number(name: str | None) -> int:
    """Read a stop signal as images write it: SIGTERM, TERM, 15, SIGRTMIN+3; SIGTERM if it means nothing."""
    short = (name or "").upper().removeprefix("SIG")
    if real_time := _RTMIN.fullmatch(short):
        number = signal.SIGRTMIN + int(real_time[1] or 0)
    elif short.isdecimal():
        number = int(short)
    else:
        number = signal.Signals.__members__.get(f"SIG{short}", signal.SIGTERM)
    return number if number in signal.valid_signals() else signal.SIGTERM


def _tell_all(client: APIClient, identity: str, init: int, number: int, timeout: float) -> bool:
    """Tell each process once and wait for those that can react; False if they cannot be told from here.

    Those that exec brought in come first: the kernel kills them the moment that process 1 ends. If they take
    all the time, the others still get a moment. The third round is for what was forked during the second.
    """
    told: set[int] = set()
    deadline = time.monotonic() + timeout
    for round_ in (_guests, _everybody, _everybody):
        with processes(client, identity) as present:
            if round_ is _guests and init not in {process.pid for process in present}:
                return False
            fresh = [process for process in round_(present, init) if process.pid not in told]
            awaited = [process for process in fresh if process.reacts_to(number)]
            for process in fresh:
                process.tell(number)
                process.tell(signal.SIGCONT)  # a suspended one takes the signal only when it goes on
            wait(awaited, max(deadline, time.monotonic() + min(_MOMENT, timeout)))
            told |= {process.pid for process in fresh}
    return True


def _guests(present: list[Process], init: int) -> list[Process]:
    """Those that do not descend from process 1."""
    known = {process.pid: process for process in present}

    def origin(process: Process) -> int:
        while process.parent in known:
            process = known[process.parent]
        return process.pid

    return [process for process in present if origin(process) != init]


def _everybody(present: list[Process], init: int) -> list[Process]:
    return present


def _kill(client: APIClient, identity: str) -> None:
    try:
        client.kill(identity)
    except APIError as exc:
        if exc.status_code != 409:  # it has ended by itself
            raise


def _wait_until_stopped(client: APIClient, identity: str) -> None:
    deadline = time.monotonic() + GONE_WITHIN
    while client.inspect_container(identity)["State"]["Running"]:
        if time.monotonic() > deadline:
            raise StopFailed(Text("the container's processes do not end, not even when killed"))
        time.sleep(0.01)

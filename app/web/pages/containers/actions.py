"""The actions that are possible with a container as it is: only those are offered."""

from app.containers.queries import ContainerView, VersionView

RUNNING = ("running", "paused", "restarting")
STOPPED = ("stopped", "exited")
# Which of the newest version's actions are possible in which of its states.
_LEGAL = {
    "stop": (*RUNNING, "exited"),
    "restart": (*RUNNING, *STOPPED, "removed"),
    "gpus": (*RUNNING, *STOPPED, "removed"),
    "volume": (*RUNNING, *STOPPED, "removed"),
    "commit": (*RUNNING, *STOPPED),
    "delete": (*RUNNING, *STOPPED, "removed", "missing"),
}
_LEGAL_OLDER = {
    "rollback": (*RUNNING, *STOPPED),
    "commit": (*RUNNING, *STOPPED),
    "delete": (*RUNNING, *STOPPED, "removed", "missing"),
}


def legal(view: ContainerView, shown: VersionView, busy: bool) -> tuple[str, ...]:
    """The changes that are possible with the version `shown`; none while another one runs (`busy`)."""
    if busy:
        return ()
    newest = shown.record.version == view.newest.version
    found = [action for action, states in (_LEGAL if newest else _LEGAL_OLDER).items() if shown.state in states]
    if not any(bind.is_volume for bind in shown.record.spec.binds):
        found = [action for action in found if action != "volume"]
    return tuple(found)


def listed(view: ContainerView) -> tuple[str, ...]:
    """Return the actions that the list offers for a container."""
    return tuple(action for action in ("stop", "restart") if view.state in _LEGAL[action])


def has_log(shown: VersionView) -> bool:
    """Tell whether the version's main process may have printed something that can be read now."""
    return shown.state in (*RUNNING, *STOPPED)

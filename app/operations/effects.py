"""The sentences in which ways out of stuck operations are told: the same for every kind of operation."""

from collections.abc import Iterable, Sequence

from app.model.messages import Text
from app.operations.base import Resolution, WayOut, WaysOut

# The way out that is no way: nothing that was not committed can be.
UNFINISHABLE = WayOut(refusal=Text("what was not committed cannot be finished; undo it"))


def freed(gpus: Iterable[str], ports: Iterable[int]) -> list[Text]:
    """Say which GPUs and host ports become free."""
    return [
        *(Text("frees GPU {uuid}", uuid=uuid) for uuid in gpus),
        *(Text("frees host port {port}", port=port) for port in ports),
    ]


def volumes_left(names: Iterable[str]) -> list[Text]:
    """Say which volumes stay as they are."""
    return [Text("leaves volume {volume} as it is", volume=name) for name in names]


def still_running(names: Sequence[str]) -> Text | None:
    """Say why what running containers may use is not given back; None if none runs."""
    if not names:
        return None
    return Text("{names} runs and may use what would be given back; stop it first", names=", ".join(names))


def only_forget(forget: WayOut, refusal: Text) -> WaysOut:
    """Offer nothing but to forget it; `refusal` says why."""
    other = WayOut(refusal=refusal)
    return {Resolution.FINISH: other, Resolution.UNDO: other, Resolution.FORGET: forget}

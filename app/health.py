"""The health of the parts that gpudock needs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from app.errors import Unavailable
from app.ports import ContainerReader, Inventory, Store


class Health:
    """Asks Docker, etcd and the GPU inventory at the same time."""

    def __init__(self, store: Store, containers: ContainerReader, inventory: Inventory) -> None:
        self._checks: dict[str, Callable[[], object]] = {
            "docker": containers.ping,
            "etcd": store.ping,
            "nvml": inventory.uuids,
        }

    def problems(self) -> dict[str, str]:
        """Find what is wrong, by part (docker, etcd, nvml); empty if all answer."""
        with ThreadPoolExecutor(len(self._checks)) as pool:
            answers = {part: pool.submit(_problem, check) for part, check in self._checks.items()}
            return {part: problem for part, answer in answers.items() if (problem := answer.result())}


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
    except Unavailable as exc:
        return exc.message
    return None

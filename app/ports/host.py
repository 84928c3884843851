"""The host: its ports, paths and processes."""

from typing import Protocol


class Host(Protocol):
    """The machine that the Docker engine runs on."""

    def port_free(self, port: int) -> bool:
        """Whether nobody listens on the TCP port."""

    def real_directory(self, path: str) -> str:
        """`path` with every symlink resolved (what does not exist yet stays as it is)."""

    def process_alive(self, token: str) -> bool:
        """Whether the process that `own_token` described in some process still lives."""

    def own_token(self) -> str:
        """A string that tells this process from every other one, past and present."""

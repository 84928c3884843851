"""The host: its ports, paths and processes."""

from typing import Protocol


class Host(Protocol):
    """Ask the machine that the Docker engine runs on."""

    def port_free(self, port: int) -> bool:
        """Tell if nobody listens on the TCP port."""

    def real_directory(self, path: str) -> str:
        """Resolve every symlink in the absolute `path`; what does not exist yet stays as it is."""

    def process_alive(self, token: str) -> bool:
        """Tell if the process that `own_token` described in some process still lives."""

    def own_token(self) -> str:
        """Write a string that tells this process from every other one, past and present."""

"""Binds of host directories checked against the host: allowed roots, real paths."""

from dataclasses import replace

from app.errors import BindRefused
from app.model.container import Bind
from app.model.messages import Text
from app.ports import Host


class Binds:
    """Knows the host directories that binds may come from."""

    def __init__(self, host: Host, roots: tuple[str, ...]) -> None:
        self._host = host
        self._roots = roots

    def check(self, binds: tuple[Bind, ...]) -> tuple[Bind, ...]:
        """The binds with symlinks in host paths resolved; BindRefused if one cannot be mounted.

        The path that was checked is the one that is mounted: a symlink put there later has no effect.
        """
        return tuple(bind if bind.is_volume else self._directory(bind) for bind in binds)

    def _directory(self, bind: Bind) -> Bind:
        real = self._host.real_directory(bind.src)
        roots = [self._host.real_directory(root) for root in self._roots]
        if not any(real == root or real.startswith(f"{root}/") for root in roots):
            raise BindRefused(
                Text(
                    "bind source {source} lies outside {roots}; "
                    "use a directory there, or have the operator extend GPUDOCK_BIND_ROOTS",
                    source=repr(bind.src),
                    roots=":".join(self._roots),
                )
            )
        return replace(bind, src=real)

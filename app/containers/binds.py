"""Binds of host directories checked against the host: allowed roots, real paths."""

from dataclasses import replace

from app.errors import BindRefused
from app.model.container import Bind, Spec
from app.model.messages import Text
from app.operations.reader import Reader


def resolve_binds(reader: Reader, spec: Spec) -> Spec:
    """Resolve symlinks in the host paths of a spec's binds; BindRefused if one cannot be mounted.

    The path that was checked is the one that is mounted: a symlink put there later has no effect.
    """
    return replace(spec, binds=tuple(bind if bind.is_volume else _directory(reader, bind) for bind in spec.binds))


def _directory(reader: Reader, bind: Bind) -> Bind:
    allowed = reader.settings.bind_roots
    real = reader.host.real_directory(bind.src)
    roots = [reader.host.real_directory(root) for root in allowed]
    if not any(real == root or real.startswith(f"{root}/") for root in roots):
        raise BindRefused(
            Text(
                "bind source {source} lies outside {roots}; "
                "use a directory there, or have the operator extend GPUDOCK_BIND_ROOTS",
                source=repr(bind.src),
                roots=":".join(allowed),
            )
        )
    return replace(bind, src=real)

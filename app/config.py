"""Settings, read from GPUDOCK_* variables once at start and validated there."""

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from environs import Env, EnvError, ValidationError

from app.model.volume import AUTO, DRIVERS


class ConfigError(Exception):
    """A variable has a value that gpudock cannot work with; the message names the variable."""


@dataclass(frozen=True)
class Config:
    """Every setting. Times are in seconds, sizes in bytes; `simulated_gpus` is None where NVML is asked.

    `volumes` is auto or one of model.volume.DRIVERS; `keep_versions` is None where all versions are kept. Other nodes
    reach this one at `node_url`; if that is None, at the address `node_bind` where it listens, port 0 being any.
    `token` is that of the operator without a name, `tokens` are those with one, each after its name.
    """

    etcd: tuple[tuple[str, int], ...]
    prefix: str
    node: str
    docker_host: str
    simulated_gpus: int | None
    gpu_request: str
    bind_roots: tuple[str, ...]
    port_range: tuple[int, int]
    token: str | None
    auth: bool
    stop_timeout: float
    exec_timeout: float
    foreign_memory: int
    volumes: str
    keep_versions: int | None
    node_bind: tuple[str, int] = ("127.0.0.1", 0)
    node_url: str | None = None
    tokens: tuple[tuple[str, str], ...] = ()

    @property
    def all_tokens(self) -> tuple[tuple[str | None, str], ...]:
        """Every token after the name that it stands for."""
        return (((None, self.token),) if self.token else ()) + self.tokens


def load() -> Config:
    """The settings from the process's environment; ConfigError names the variable that cannot be used."""
    try:
        return _checked(_read(Env(prefix="GPUDOCK_")))
    except (EnvError, ValidationError) as exc:
        raise ConfigError(str(exc)) from exc


def _read(env: Env) -> Config:
    simulated = env.str("GPUS", "nvml", validate=_gpus)
    count = None if simulated == "nvml" else int(simulated.removeprefix("simulated:"))
    request = env.str("GPU_REQUEST", "nvidia" if count is None else "none", validate=_one_of("nvidia", "cdi", "none"))
    return Config(
        etcd=tuple(_endpoint(e) for e in env.str("ETCD", "127.0.0.1:2379", validate=_endpoints).split(",")),
        prefix=env.str("PREFIX", "/gpudock", validate=_prefix).rstrip("/"),
        node=env.str("NODE", socket.gethostname(), validate=_node),
        docker_host=Env().str("DOCKER_HOST", "unix:///var/run/docker.sock"),
        simulated_gpus=count,
        gpu_request=request,
        bind_roots=tuple(env.str("BIND_ROOTS", "/mnt:/data:/srv:/mynfs", validate=_roots).split(":")),
        port_range=_range(env.str("PORT_RANGE", "40000-65535", validate=_port_range)),
        token=env.str("TOKEN", None, validate=_token),
        auth=env.str("AUTH", "on", validate=_one_of("on", "off")) == "on",
        stop_timeout=env.float("STOP_TIMEOUT", 10.0, validate=_between(0, 600)),
        exec_timeout=env.float("EXEC_TIMEOUT", 60.0, validate=_between(0.1, 900)),
        foreign_memory=env.int("FOREIGN_MEMORY_MB", 64, validate=_between(0, 1_000_000)) << 20,
        volumes=env.str("VOLUMES", AUTO, validate=_one_of(AUTO, *DRIVERS)),
        keep_versions=_count(env.str("KEEP_VERSIONS", "all", validate=_versions)),
        node_bind=_endpoint(env.str("NODE_BIND", "127.0.0.1:0", validate=_address)),
        node_url=_without_slash(env.str("NODE_URL", None, validate=_url)),
        tokens=_named(env.str("TOKENS", None, validate=_named_tokens)),
    )


def _checked(config: Config) -> Config:
    """Check what a look at one variable alone cannot tell."""
    host = config.node_bind[0]
    _require(
        _is_loopback(host) or (config.all_tokens and config.auth),
        "GPUDOCK_NODE_BIND: without tokens (GPUDOCK_TOKEN), the same on all nodes, only loopback may be listened on",
    )
    _require(
        config.token not in dict(config.tokens).values(),
        "GPUDOCK_TOKENS: one of the tokens is that of GPUDOCK_TOKEN; each must be another one",
    )
    _require(
        config.node_url or host not in ("0.0.0.0", "::"),
        "GPUDOCK_NODE_URL must say at which address the others reach this node, since GPUDOCK_NODE_BIND means any",
    )
    return config


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.strip().removeprefix("http://").rpartition(":")
    return host.strip("[]"), int(port)


def _without_slash(text: str | None) -> str | None:
    return text.rstrip("/") if text else None


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    return int(low), int(high)


def _named(text: str | None) -> tuple[tuple[str, str], ...]:
    pairs = [] if text is None else [pair.strip().partition("=") for pair in text.split(",")]
    return tuple((name, token) for name, _, token in pairs)


def _count(text: str) -> int | None:
    return None if text == "all" else int(text)


def _endpoints(text: str) -> None:
    _require(
        all(re.fullmatch(r"(http://)?(\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}", e.strip()) for e in text.split(",")),
        "must be comma-separated host:port pairs, like 10.0.0.1:2379,10.0.0.2:2379",
    )


def _address(text: str) -> None:
    _require(
        re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}", text), "must be host:port; port 0 means any free one"
    )


def _url(text: str | None) -> None:
    _require(
        text is None or re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[\w.-]+)(:[0-9]{1,5})?/?", text, re.ASCII),
        "must be the address of this node for the others, like http://10.0.0.1:2377",
    )


def _prefix(text: str) -> None:
    _require(re.fullmatch(r"(/[\w.-]+)+/?", text), "must be an absolute key prefix, like /gpudock")


def _node(text: str) -> None:
    _require(re.fullmatch(r"[\w.-]{1,128}", text, re.ASCII), "must be 1 to 128 letters, digits, '.', '_' or '-'")


def _gpus(text: str) -> None:
    _require(re.fullmatch(r"nvml|simulated:[0-9]{1,3}", text), "must be nvml, or simulated:N with N GPUs")


def _versions(text: str) -> None:
    _require(re.fullmatch(r"all|[1-9][0-9]{0,5}", text), "must be all, or how many versions to keep, at least 1")


def _roots(text: str) -> None:
    _require(
        all(root.startswith("/") and root != "/" and ".." not in PurePosixPath(root).parts for root in text.split(":")),
        "must be colon-separated absolute directories other than /",
    )


def _port_range(text: str) -> None:
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    _require(match and 1 <= int(match[1]) <= int(match[2]) <= 65535, "must be LOW-HIGH, both from 1 to 65535")


def _token(text: str | None) -> None:
    _require(text is None or (len(text) >= 16 and text.isascii()), "must have at least 16 ASCII characters")


def _named_tokens(text: str | None) -> None:
    """A message tells of a pair its place only, since any part of it may be a token."""
    pairs = _named(text)
    for place, (name, token) in enumerate(pairs, 1):
        ok = re.fullmatch(r"[\w.-]{1,32}", name, re.ASCII) and len(token) >= 16 and token.isascii()
        _require(
            ok,
            "must be comma-separated NAME=TOKEN pairs, names of 1 to 32 letters, digits, '.', '_' or '-', tokens of at "
            f"least 16 ASCII characters; see number {place}",
        )
    _require(len(dict(pairs)) == len(pairs), "must have each name once")
    _require(len({token for _, token in pairs}) == len(pairs), "must have each token once")


def _one_of(*words: str) -> Callable[[str], None]:
    return lambda text: _require(text in words, f"must be one of {', '.join(words)}")


def _between(low: float, high: float) -> Callable[[float], None]:
    return lambda number: _require(low <= number <= high, f"must be from {low} to {high}")


def _require(ok: object, message: str) -> None:
    if not ok:
        raise ValidationError(message)

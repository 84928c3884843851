"""Settings from the environment: defaults, every variable, and refusals that name the variable."""

import os
import socket

import pytest

from app.config import Config, ConfigError, load


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch) -> None:
    for name in os.environ:
        if name.startswith("GPUDOCK_") or name == "DOCKER_HOST":
            monkeypatch.delenv(name)


def test_without_any_variable_the_defaults_fit_a_single_gpu_server():
    assert load() == Config(
        etcd=(("127.0.0.1", 2379),),
        prefix="/gpudock",
        node=socket.gethostname(),
        docker_host="unix:///var/run/docker.sock",
        simulated_gpus=None,
        gpu_request="nvidia",
        bind_roots=("/mnt", "/data", "/srv", "/mynfs"),
        port_range=(40000, 65535),
        token=None,
        auth=True,
        stop_timeout=10.0,
        exec_timeout=60.0,
        foreign_memory=64 << 20,
        volumes="auto",
        keep_versions=None,
    )


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("GPUDOCK_ETCD", "10.0.0.1:2379,etcd2:2380", "etcd", (("10.0.0.1", 2379), ("etcd2", 2380))),
        ("GPUDOCK_ETCD", "http://10.0.0.1:2379, [::1]:2379", "etcd", (("10.0.0.1", 2379), ("::1", 2379))),
        ("GPUDOCK_PREFIX", "/lab/gpus/", "prefix", "/lab/gpus"),
        ("GPUDOCK_NODE", "gpu-01.lab", "node", "gpu-01.lab"),
        ("DOCKER_HOST", "unix:///run/other.sock", "docker_host", "unix:///run/other.sock"),
        ("GPUDOCK_GPUS", "simulated:8", "simulated_gpus", 8),
        ("GPUDOCK_GPUS", "simulated:0", "simulated_gpus", 0),
        ("GPUDOCK_GPUS", "nvml", "simulated_gpus", None),
        ("GPUDOCK_GPU_REQUEST", "cdi", "gpu_request", "cdi"),
        ("GPUDOCK_BIND_ROOTS", "/home:/scratch", "bind_roots", ("/home", "/scratch")),
        ("GPUDOCK_PORT_RANGE", "2000-2000", "port_range", (2000, 2000)),
        ("GPUDOCK_TOKEN", "0123456789abcdef", "token", "0123456789abcdef"),
        (
            "GPUDOCK_TOKENS",
            "ann=0123456789abcdef, bob.b-1_=MTIzNDU2Nzg5MDEyMw==",
            "tokens",
            (("ann", "0123456789abcdef"), ("bob.b-1_", "MTIzNDU2Nzg5MDEyMw==")),
        ),
        ("GPUDOCK_AUTH", "off", "auth", False),
        ("GPUDOCK_STOP_TIMEOUT", "0", "stop_timeout", 0.0),
        ("GPUDOCK_EXEC_TIMEOUT", "1.5", "exec_timeout", 1.5),
        ("GPUDOCK_FOREIGN_MEMORY_MB", "512", "foreign_memory", 512 << 20),
        ("GPUDOCK_NODE_BIND", "[::1]:2377", "node_bind", ("::1", 2377)),
        ("GPUDOCK_NODE_BIND", "localhost:2377", "node_bind", ("localhost", 2377)),
        ("GPUDOCK_NODE_URL", "http://10.0.0.1:2377/", "node_url", "http://10.0.0.1:2377"),
    ],
)
def test_each_variable_sets_its_field(monkeypatch, variable, value, field, expected):
    monkeypatch.setenv(variable, value)
    assert getattr(load(), field) == expected


def test_simulated_gpus_are_not_asked_of_docker_unless_told_so(monkeypatch):
    monkeypatch.setenv("GPUDOCK_GPUS", "simulated:2")
    assert load().gpu_request == "none"
    monkeypatch.setenv("GPUDOCK_GPU_REQUEST", "nvidia")
    assert load().gpu_request == "nvidia"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GPUDOCK_ETCD", ""),
        ("GPUDOCK_ETCD", "localhost"),
        ("GPUDOCK_ETCD", "a:1,,b:2"),
        ("GPUDOCK_ETCD", "https://a:2379"),
        ("GPUDOCK_PREFIX", "gpudock"),
        ("GPUDOCK_PREFIX", "/"),
        ("GPUDOCK_PREFIX", "/a//b"),
        ("GPUDOCK_NODE", ""),
        ("GPUDOCK_NODE", "a/b"),
        ("GPUDOCK_NODE", "n" * 129),
        ("GPUDOCK_GPUS", "8"),
        ("GPUDOCK_GPUS", "simulated:"),
        ("GPUDOCK_GPUS", "simulated:-1"),
        ("GPUDOCK_GPUS", "simulated:1000"),
        ("GPUDOCK_GPU_REQUEST", "amd"),
        ("GPUDOCK_BIND_ROOTS", ""),
        ("GPUDOCK_BIND_ROOTS", "/"),
        ("GPUDOCK_BIND_ROOTS", "/data:relative"),
        ("GPUDOCK_BIND_ROOTS", "/data/../etc"),
        ("GPUDOCK_PORT_RANGE", "40000"),
        ("GPUDOCK_PORT_RANGE", "50000-40000"),
        ("GPUDOCK_PORT_RANGE", "0-10"),
        ("GPUDOCK_PORT_RANGE", "40000-65536"),
        ("GPUDOCK_TOKEN", ""),
        ("GPUDOCK_TOKEN", "too short"),
        ("GPUDOCK_TOKEN", "ä" * 20),
        ("GPUDOCK_AUTH", "no"),
        ("GPUDOCK_STOP_TIMEOUT", "-1"),
        ("GPUDOCK_STOP_TIMEOUT", "nan"),
        ("GPUDOCK_EXEC_TIMEOUT", "0"),
        ("GPUDOCK_EXEC_TIMEOUT", "ten"),
        ("GPUDOCK_FOREIGN_MEMORY_MB", "1.5"),
        ("GPUDOCK_FOREIGN_MEMORY_MB", "-1"),
        ("GPUDOCK_NODE_BIND", "2377"),
        ("GPUDOCK_NODE_BIND", "10.0.0.1:2377"),  # without a token
        ("GPUDOCK_NODE_BIND", "gpu-01.lab:2377"),
        ("GPUDOCK_NODE_URL", "10.0.0.1:2377"),
        ("GPUDOCK_NODE_URL", "http://10.0.0.1:2377/path"),
        ("GPUDOCK_NODE_URL", "http://user@10.0.0.1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_the_variables_name(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable):
        load()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0123456789-secret",
        "=0123456789-secret",
        "ann=secret",
        "ann=0123456789-sécret",
        "a b=0123456789-secret",
        "änn=0123456789-secret",
        f"{'n' * 33}=0123456789-secret",
        "ann=0123456789-secret,",
        "ann=0123456789-secret,bob",
        "ann=0123456789-secret,ann=another-long-secret",
        "ann=0123456789-secret,bob=0123456789-secret",
        "ann=0123456789abcdef-secret",  # that of the operator without a name
    ],
)
def test_named_tokens_that_cannot_work_are_refused_without_being_shown(monkeypatch, value):
    monkeypatch.setenv("GPUDOCK_TOKEN", "0123456789abcdef-secret")
    monkeypatch.setenv("GPUDOCK_TOKENS", value)
    with pytest.raises(ConfigError, match="GPUDOCK_TOKENS") as caught:
        load()
    assert "cret" not in str(caught.value) and "0123" not in str(caught.value)


def test_every_token_is_known_by_its_name(monkeypatch):
    assert load().all_tokens == ()
    monkeypatch.setenv("GPUDOCK_TOKENS", "ann=0123456789abcdef")
    assert load().all_tokens == (("ann", "0123456789abcdef"),)
    monkeypatch.setenv("GPUDOCK_TOKEN", "another-token-0123")
    assert load().all_tokens == ((None, "another-token-0123"), ("ann", "0123456789abcdef"))


@pytest.mark.parametrize("tokens", [("GPUDOCK_TOKEN", "0123456789abcdef"), ("GPUDOCK_TOKENS", "ann=0123456789abcdef")])
def test_others_may_only_reach_a_node_that_asks_for_a_token(monkeypatch, tokens):
    monkeypatch.setenv("GPUDOCK_NODE_BIND", "10.0.0.1:2377")
    monkeypatch.setenv(*tokens)
    assert load().node_bind == ("10.0.0.1", 2377)
    monkeypatch.setenv("GPUDOCK_AUTH", "off")
    with pytest.raises(ConfigError, match="GPUDOCK_NODE_BIND"):
        load()


@pytest.mark.parametrize("anywhere", ["0.0.0.0:2377", "[::]:2377"])
def test_a_node_that_listens_everywhere_must_say_where_it_is_reached(monkeypatch, anywhere):
    monkeypatch.setenv("GPUDOCK_NODE_BIND", anywhere)
    monkeypatch.setenv("GPUDOCK_TOKEN", "0123456789abcdef")
    with pytest.raises(ConfigError, match="GPUDOCK_NODE_URL"):
        load()
    monkeypatch.setenv("GPUDOCK_NODE_URL", "https://gpu-01.lab")
    assert load().node_url == "https://gpu-01.lab"

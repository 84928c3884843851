"""gunicorn's settings: gthread workers that share what pages remember, and time for the longest operation."""

import os
import shutil
import tempfile
from typing import Any

bind = os.environ.get("GPUDOCK_BIND", "127.0.0.1:2378")
worker_class = "gthread"
# Two at least: while one worker restarts, the other answers. Threads mostly wait for Docker.
workers = max(2, int(os.environ.get("GPUDOCK_WORKERS", "2")))
threads = 16
# The connections to etcd and NVML must be made after the fork.
preload_app = False

# Copying a large layer or committing an image takes minutes. A change under way is finished before a worker ends.
timeout = 1200
graceful_timeout = 1200
# Above nginx's 60 s, so that it is nginx who closes an idle connection and no request is lost in the gap.
keepalive = 75

# Names and paths are short; a token and a session cookie are the largest headers.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
# Only a proxy on this machine may say who the client is.
forwarded_allow_ips = "127.0.0.1,::1"

# The application logs each request itself; this is gunicorn's own.
accesslog = None
errorlog = "-"
# Its default place is one per user, so that two services would fight for it; nothing uses it.
control_socket_disable = True

# Tells workers of the directory; app/web/shared_cache.py reads it.
SHARED = "GPUDOCK_WORKERS_DIRECTORY"


def on_starting(server: Any) -> None:
    """Make the directory in which the workers keep what pages remember: nobody else may enter it."""
    os.environ.pop(SHARED, None)
    try:
        os.environ[SHARED] = tempfile.mkdtemp(prefix="gpudock-")
    except OSError as exc:
        server.log.warning("each worker remembers by itself what pages show while a part is down: %s", exc)


def on_reload(server: Any) -> None:
    """Another directory: what the program kept before may be of another shape than it keeps now."""
    on_exit(server)
    on_starting(server)


def on_exit(_server: Any) -> None:
    """Remove the directory and what it holds."""
    if SHARED in os.environ:
        shutil.rmtree(os.environ[SHARED], ignore_errors=True)


def post_worker_init(worker: Any) -> None:
    """After a reboot volumes are to be mounted; what a killed worker left half done is settled by its successor.

    Threads do not survive a fork, so the one that reads the GPUs for the charts begins here too.
    """
    services = worker.wsgi.extensions["gpudock"]
    services.agent.startup.run_soon()
    services.gpu.sampler.start()

"""`GET /api/v1/gpus`, as schedulers poll it."""

import http.client
import threading
import time

from tests.support.dockerd import Dockerd
from tests.support.server import TOKEN, Server

SECONDS = 4.0


def measure_polling(server: Server, dockerd: Dockerd, rounds: int) -> None:
    """Requests per second and latencies with 1, 8 and 32 clients that each keep one connection."""
    for clients in (1, 8, 32):
        latencies: list[float] = []
        threads = [threading.Thread(target=_poll, args=(server.port, latencies)) for _ in range(clients)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rate = len(latencies) / (time.perf_counter() - begun)
        latencies.sort()
        p50, p99 = (latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))
        print(f"GET /api/v1/gpus, {clients:2} clients: {rate:6.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _poll(port: int, latencies: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    end = time.perf_counter() + SECONDS
    while (begun := time.perf_counter()) < end:
        connection.request("GET", "/api/v1/gpus", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
        latencies.append(time.perf_counter() - begun)
    connection.close()

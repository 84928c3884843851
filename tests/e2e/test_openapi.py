"""The OpenAPI document is complete, and no request that fits or almost fits it makes the server fail."""

import os
import subprocess
import sys
from pathlib import Path

import requests

from tests.support.dockerd import Dockerd
from tests.support.images import IMAGE, VOLUME_IMAGE
from tests.support.server import TOKEN, Server


def test_every_call_documents_its_errors(api: Server) -> None:
    document = requests.get(
        f"{api.url}/api/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
    ).json()
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            if method in ("get", "post", "patch", "delete") and path.startswith("/api/"):
                assert {"200", "400", "401", "403", "500", "503"} <= set(call["responses"]), (method, path)
                assert call["summary"]
    create = document["paths"]["/api/v1/containers"]["post"]["responses"]
    assert "1019" in create["409"]["description"] and "1014" in create["409"]["description"]
    assert "| 1034 |" in document["info"]["description"]


def test_swagger_ui_comes_from_this_server(api: Server) -> None:
    page = requests.get(f"{api.url}/api/docs", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
    assert page.ok and "//" not in page.text.replace("/static/vendor", "")
    assert requests.get(f"{api.url}/static/vendor/swagger-ui/swagger-ui-bundle.js", timeout=10).ok


def test_schemathesis_finds_no_server_error(api: Server, dockerd: Dockerd, tmp_path: Path) -> None:
    api.create("foo", gpuCount=1)
    for image in (IMAGE, VOLUME_IMAGE):  # other tests want them, and it finds the names of what it may delete
        dockerd.docker("create", image)
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{api.url}/api/openapi.json",
            f"--header=Authorization: Bearer {TOKEN}",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            # A pull asks registries of the world, and a tidying would take what other tests need.
            "--exclude-path-regex=/images/(pull|prune)$",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=15",
            "--seed=1",
            "--no-color",
            "--request-timeout=60",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

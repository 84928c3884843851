"""The JSON API and its OpenAPI document."""

from typing import Any

from flask import Flask
from flask_smorest import Api
from werkzeug.exceptions import HTTPException

from app.web.api import (
    async_requests,
    containers,
    execute,
    gpus,
    health,
    idempotency,
    images,
    nodes,
    operations,
    records,
    volumes,
)
from app.web.api.schemas import ErrorEnvelope, envelope
from app.web.api.schemas_operations import PreviewSchema
from app.web.http_errors import code_table, http_error

_DESCRIPTION = """\
Containers with whole GPUs, and volumes of a size that is enforced, versioned: every change makes the next version
with everything that was in the one before. Several hosts (nodes) may share one etcd; any of them answers for all.

Every answer is an envelope: `code`, `msg`, `data`; an error also has `requestId`. The codes:

| code | meaning |
|---|---|
"""


class EnvelopeApi(Api):  # type: ignore[misc]  # flask-smorest is untyped
    """flask-smorest's Api, answering errors in the contract's envelope (or as a page, outside the API)."""

    ERROR_SCHEMA = ErrorEnvelope

    def handle_http_exception(self, error: HTTPException) -> Any:
        """Answer what werkzeug or the validation refused."""
        return http_error(error)


def init_app(app: Flask) -> None:
    """Register the resources under /api/v1, the document at /api/openapi.json and Swagger UI at /api/docs."""
    app.config.update(
        API_TITLE="gpudock",
        API_VERSION="v1",
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/api",
        OPENAPI_JSON_PATH="openapi.json",
        OPENAPI_SWAGGER_UI_PATH="/docs",
        OPENAPI_SWAGGER_UI_URL="/static/vendor/swagger-ui/",
    )
    spec = {
        "info": {"description": _DESCRIPTION + _codes()},
        "extra_plugins": [async_requests.Previewed(), idempotency.Documented()],
    }
    api = EnvelopeApi(app, spec_kwargs=spec)
    api.spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    api.spec.components.schema(async_requests.PREVIEW, schema=envelope(PreviewSchema))
    api.spec.options["security"] = [{"token": []}]
    for resource in (containers, execute, volumes, images, gpus, nodes, operations, records, health):
        api.register_blueprint(resource.blueprint)
    idempotency.init_app(app)


def _codes() -> str:
    return "\n".join(f"| {code} | {meaning} |" for code, meaning in code_table().items())

"""Ways to carry out a changing call: now, in the background (`Prefer: respond-async`), or not (`dryRun=true`)."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from apispec import BasePlugin
from flask import Response, jsonify, request, url_for

from app import errors
from app.model.messages import Text
from app.model.operation import Operation
from app.operations.background import Background
from app.operations.preview import preview
from app.operations.queries import OperationView
from app.web.api import serializers
from app.web.api.envelope import Resource, ok
from app.web.api.schemas import envelope
from app.web.api.schemas_operations import OperationSchema, PreviewSchema

T = TypeVar("T")
View = TypeVar("View", bound=Callable[..., Any])
_ASYNC = re.compile(r"(.*[,;\s])?respond-async([,;\s].*)?", re.ASCII | re.IGNORECASE)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
PREVIEW = "PreviewEnvelope"
_PARAMETERS: list[dict[str, Any]] = [
    {
        "in": "query",
        "name": "dryRun",
        "schema": {"type": "boolean"},
        "description": "Only say what would happen: the answer's data is a preview, and nothing is changed.",
    },
    {
        "in": "header",
        "name": "Prefer",
        "schema": {"type": "string"},
        "description": "`respond-async`: answer 202 as soon as the change has begun; Location names its operation.",
    },
]


class Previewed(BasePlugin):
    """Documents the preview as the other answer of every call that has a dry run."""

    def operation_helper(self, path: str | None = None, operations: dict[Any, Any] | None = None, **_: Any) -> None:
        """Complete the operations of one path."""
        for operation in (operations or {}).values():
            if _PARAMETERS[0] in operation.get("parameters", ()):
                answers = {str(status): answer for status, answer in operation["responses"].items()}
                content = answers["200"]["content"]["application/json"]
                content["schema"] = {"anyOf": [content["schema"], {"$ref": f"#/components/schemas/{PREVIEW}"}]}


def changing(blueprint: Resource) -> Callable[[View], View]:
    """Document the ways in which a changing call may be carried out."""

    def document(view: View) -> View:
        view = blueprint.doc(parameters=_PARAMETERS)(view)
        return blueprint.alt_response(  # type: ignore[no-any-return]
            202,
            schema=envelope(OperationSchema),
            description="the change goes on in the background (Prefer: respond-async)",
            headers={"Location": {"schema": {"type": "string"}, "description": "the operation"}},
        )(view)

    return document


def execute(work: Callable[[], T], show: Callable[[T], Any]) -> Any:
    """The answer to a changing call: what `show` makes of the result of `work`, an operation, or a preview.

    `work` runs in another thread if that was asked for, so it must not depend on the request.
    """
    if wants_preview():
        return jsonify(envelope(PreviewSchema)().dump(ok(serializers.preview(preview(work)))))
    if not _ASYNC.fullmatch(request.headers.get("Prefer", "")):
        return show(work())
    outcome = Background(work).start()
    return _accepted(outcome) if isinstance(outcome, Operation) else show(outcome)


def wants_preview() -> bool:
    """Tell whether the request has dryRun=true; InvalidRequest for any other word."""
    given = request.args.get("dryRun", "false").lower()
    if given not in _FLAGS:
        raise errors.InvalidRequest(Text("dryRun must be true or false"))
    return _FLAGS[given]


def refuse_preview() -> None:
    """InvalidRequest for a dry run of what cannot be rehearsed."""
    if wants_preview():
        raise errors.InvalidRequest(Text("this call has no dry run; leave dryRun out"))


def _accepted(operation: Operation) -> Response:
    body = {"code": 202, "msg": "accepted", "data": serializers.operation(OperationView(operation))}
    answer = jsonify(envelope(OperationSchema)().dump(body))
    answer.status_code = 202
    answer.headers["Location"] = url_for("operations.Operation", identity=operation.id)
    answer.headers["Preference-Applied"] = "respond-async"
    return answer

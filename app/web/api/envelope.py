"""The parts that resources share: bodies read as JSON, answers in the envelope, error answers documented."""

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from flask import Request
from flask_smorest import Blueprint
from webargs.core import missing
from webargs.flaskparser import FlaskParser

from app import errors
from app.model.messages import Text
from app.web.api.schemas import ErrorEnvelope
from app.web.http_errors import status_of

View = TypeVar("View", bound=Callable[..., Any])
EVERYWHERE: tuple[type[errors.DomainError], ...] = (
    errors.InvalidRequest,
    errors.Unauthenticated,
    errors.Forbidden,
    errors.OperationFailed,
    errors.Unavailable,
)
# What calls on something that another node may have can meet besides.
SENT_ON: tuple[type[errors.DomainError], ...] = (
    errors.OnAnotherNode,
    errors.NodeUnreachable,
    errors.NodeCutOff,
    errors.NodeRefused,
)


def ok(data: Any = None, changed: bool = True) -> dict[str, Any]:
    """The envelope of a success; `unchanged` if there was nothing to do."""
    return {"code": 200, "msg": "success" if changed else "unchanged", "data": data}


class JsonParser(FlaskParser):
    """Reads every body as JSON, whatever its Content-Type: many callers send none."""

    def load_json(self, req: Request, schema: Any) -> Any:
        """The parsed body, or missing if it is empty; InvalidRequest if it is not what JSON should be."""
        body = req.get_data()
        return parse_json(body) if body else missing


def parse_json(body: bytes) -> Any:
    """Parse a JSON text; InvalidRequest for what is malformed, nested too deeply or not Unicode."""
    try:
        value = json.loads(body.decode(), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates fit neither etcd nor Docker
    except RecursionError as exc:
        raise errors.InvalidRequest(Text("the body is nested too deeply")) from exc
    except UnicodeError as exc:
        raise errors.InvalidRequest(Text("the body is not valid UTF-8 text")) from exc
    except ValueError as exc:
        raise errors.InvalidRequest(Text("the body is not valid JSON: {why}", why=str(exc))) from exc
    return value


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


class Resource(Blueprint):  # type: ignore[misc]
    """A flask-smorest Blueprint with our parser, whose views document the errors they answer with."""

    ARGUMENTS_PARSER = JsonParser()

    def documents_errors(self, *kinds: type[errors.DomainError]) -> Callable[[View], View]:
        """Document these errors, besides those that every call can meet, grouped by HTTP status."""

        def document(view: View) -> View:
            by_status: dict[int, dict[int, str]] = {}
            for kind in (*EVERYWHERE, *kinds):
                by_status.setdefault(status_of(kind), {})[kind.code] = kind.title
            for status, codes in by_status.items():
                text = "; ".join(f"{code}: {title}" for code, title in sorted(codes.items()))
                view = self.alt_response(status, schema=ErrorEnvelope, description=text)(view)
            return view

        return document

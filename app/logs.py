"""Logging: one line an event, key=value, on stderr."""

import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from app.operations.requester import requester

Event = MutableMapping[str, Any]


def configure() -> None:
    """Set structlog up for this process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            add_requester,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def add_requester(_logger: object, _method: str, event: Event) -> Event:
    """Say in what is logged for a request which one it was, and with whose token."""
    requester_now = requester()
    fields = {"request_id": requester_now.request, "who": requester_now.who}
    return {**{name: value for name, value in fields.items() if value}, **event}

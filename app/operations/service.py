"""Operations as a whole: to carry a change out, see it first, have it done in the background, watch it, resolve it."""

from dataclasses import dataclass
from typing import Any, TypeVar

from app.operations.background import Background
from app.operations.base import Request
from app.operations.journal import Journal
from app.operations.preview import Preview, preview
from app.operations.queries import Operations
from app.operations.resolve import Resolver
from app.operations.runner import Runner

R = TypeVar("R")


@dataclass(frozen=True)
class OperationService:
    """The one way in which containers, volumes and images are changed."""

    runner: Runner
    journal: Journal
    queries: Operations
    resolver: Resolver

    def run(self, request: Request[R]) -> R:
        """Carry a request out in this thread, see `Runner.run`."""
        return self.runner.run(request)

    def preview(self, request: Request[Any]) -> Preview:
        """Tell what a request would do; nothing is changed."""
        return preview(self.runner, request)

    def in_background(self, request: Request[R]) -> Background[R]:
        """Prepare to carry a request out in a thread of its own."""
        return Background(lambda on_begin: self.runner.run(request, on_begin))

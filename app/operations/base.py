"""The one shape of every operation: what is asked for, what is planned, and what each kind can do.

A kind is one module with a class that has `plan`, `run`, `recover` and `ways_out`. `plan` is static and gets a Reader,
so nothing that writes is within its reach; `run` drives Docker by what was planned and ends with the one commit
transaction; `recover` needs only the record, in any process and any number of times; `ways_out` says how the operation
can be resolved if that keeps failing. `explain` and `after` have defaults (`KindBase`). The runner
does everything else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from app.errors import OperationFailed
from app.model.messages import Text
from app.model.operation import Operation
from app.operations.handle import OperationHandle
from app.operations.reader import Reader
from app.ports import Delete, Put

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
# Measures one directory tree that is to be copied: bytes and number of files.
Measure = Callable[[], tuple[int, int]]


class Request(Generic[R_co]):
    """The thing that a caller asks for; its kind's `run` answers with an `R_co`."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """An operation that is about to begin: everything that is decided before anything is changed.

    `expected` are the revisions on which the decision rests (0: no such key), `writes` what is written together with
    the operation's record. For a preview: `gpus` and `ports` are all that it will hold, `copies` what it copies.
    """

    operation: Operation
    expected: Mapping[str, int] = field(default_factory=dict)
    writes: Sequence[Put | Delete] = ()
    gpus: Sequence[str] = ()
    ports: Sequence[int] = ()
    copies: Sequence[Measure] = ()


@dataclass(frozen=True)
class Unchanged(Generic[R]):
    """Instead of a plan: there is nothing to do, and this is the answer."""

    result: R


class Resolution(StrEnum):
    """The ways out for an operation that is stuck."""

    FINISH = "finish"
    UNDO = "undo"
    FORGET = "forget"


@dataclass(frozen=True)
class WayOut:
    """One way to resolve a stuck operation: `effects` say what `act` will do to containers, volumes, GPUs and ports.

    `refusal` says why it cannot be done; nothing is done then.
    """

    effects: Sequence[Text] = ()
    act: Callable[[OperationHandle], None] = OperationHandle.end_undone
    refusal: Text | None = None


P = TypeVar("P", bound=Plan)
P_contra = TypeVar("P_contra", bound=Plan, contravariant=True)
Q_contra = TypeVar("Q_contra", contravariant=True)
WaysOut = Mapping[Resolution, WayOut]


class OperationKind(Protocol[Q_contra, P, R]):
    """One kind of operation, in all that it has to know how to do."""

    @staticmethod
    def plan(reader: Reader, request: Q_contra) -> P | Unchanged[R]:
        """Decide everything from what is read; DomainError if it cannot be done, and nothing is changed either way."""

    def run(self, handle: OperationHandle, plan: P) -> R:
        """Carry the plan out, to its commit."""

    def recover(self, handle: OperationHandle) -> None:
        """Bring an operation that broke to its end, undone or finished, and end it in the journal."""

    def ways_out(self, operation: Operation) -> WaysOut:
        """Tell how the operation can be resolved once it is stuck, by looking only."""

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Put a step's failure in the words of the whole change."""

    def after(self, plan: P, result: R) -> Iterable[Request[object]]:
        """Let go of what is not needed any more, after the commit; the requests that follow from it."""


class KindBase:
    """The defaults of most kinds: failures are told as they are, and nothing follows."""

    def explain(self, error: OperationFailed) -> OperationFailed:
        """Tell the failure as it is."""
        return error

    def after(self, plan: Plan, result: object) -> Iterable[Request[object]]:
        """Do nothing more."""
        return ()

"""Long tables: which rows of them are shown, in what order, as the page's address says."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import request

from app.web.pages.blueprint import blueprint

T = TypeVar("T")
PAGE_SIZE = 50
Sorters = Mapping[str, Callable[[T], Any]]


@dataclass(frozen=True)
class Table(Generic[T]):
    """The rows of one page, and how many there are in all, before and after the filters.

    `sort` names the column, with a `-` in front if the largest come first.
    """

    rows: Sequence[T]
    total: int
    fitting: int
    sort: str
    page: int = 1
    pages: int = 1

    def order(self, column: str) -> str:
        """Return the column's order, in the words of aria-sort."""
        return {column: "ascending", f"-{column}": "descending"}.get(self.sort, "none")

    def next_order(self, column: str) -> str:
        """Return the order to which the head of the column leads: ascending first, then descending."""
        return f"-{column}" if self.sort == column else column


def table(every: Sequence[T], fits: Callable[[T], bool], sorters: Sorters[T], default: str) -> Table[T]:
    """The page of the rows that the request asks for by `sort` and `page`; `default` is the column to sort by else.

    What sorts as None is not known, and comes last in either order.
    """
    sort = request.args.get("sort", default)
    if sort.removeprefix("-") not in sorters:
        sort = default
    fitting = ordered([row for row in every if fits(row)], sorters[sort.removeprefix("-")], sort.startswith("-"))
    pages = max(1, -(-len(fitting) // PAGE_SIZE))
    number = min(max(1, request.args.get("page", 1, type=int)), pages)
    shown = fitting[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return Table(shown, len(every), len(fitting), sort, number, pages)


def ordered(rows: Sequence[T], key: Callable[[T], Any], descending: bool) -> list[T]:
    """The rows by their keys, those without one (None) last; equal ones stay in their order."""
    known = [(key(row), row) for row in rows]
    found = sorted((pair for pair in known if pair[0] is not None), key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in found] + [row for value, row in known if value is None]


def query_filters(*names: str, **allowed: Collection[str]) -> dict[str, str]:
    """Return the filters in the request's query: the value of each of these parameters, empty if it has none.

    Those in `allowed` count only if they have one of the values there.
    """
    found = {name: request.args.get(name, "").strip() for name in (*names, *allowed)}
    return {name: value if value in allowed.get(name, (value,)) else "" for name, value in found.items()}


@blueprint.app_template_global()
def with_query(**changes: Any) -> str:
    """The address of this page with other parameters; None takes one away."""
    query = {**request.args.to_dict(), **changes}
    given = {name: value for name, value in query.items() if value not in (None, "")}
    # Two slashes at the beginning would be another host.
    path = "/" + request.path.lstrip("/")
    return f"{path}?{urlencode(given)}" if given else path

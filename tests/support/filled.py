"""Records whose every field has a value that is not its default, made from the fields themselves."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from enum import StrEnum
from itertools import count
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from app.model.messages import SENTENCE, Text
from app.model.record import Record

R = TypeVar("R", bound=Record)
_NEXT = count(1000)


def filled(cls: type[R], **given: Any) -> R:
    """A record of that class: `given` fields as they are, all others with values of their types, `extra` too."""
    hints = get_type_hints(cls, include_extras=True)
    flags = {field.name: not field.default for field in fields(cls) if isinstance(field.default, bool)}
    others = {name: _value(hint, name) for name, hint in hints.items() if name not in ("extra", *given, *flags)}
    values = {**flags, **others}
    made = cls(**{**values, **given}, extra={"unknown": {"of": [cls.__name__, next(_NEXT)]}})
    for field in fields(made):
        assert getattr(made, field.name) != _default(field), f"{cls.__name__}.{field.name} has its default"
    return made


def _default(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _value(hint: Any, name: str) -> Any:
    if isinstance(hint, type) and issubclass(hint, Record):
        return filled(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if words := [one for one in (hint, *inner) if isinstance(one, type) and issubclass(one, StrEnum)]:
        return list(words[0])[-1]
    if origin is Annotated:
        return Text("{what} is the matter", what=name) if SENTENCE in inner else _value(inner[0], name)
    if origin is tuple:
        return tuple(_value(one, name) for one in ((inner[0], inner[0]) if inner[-1] is ... else inner))
    if inner:  # a mapping, or X | None
        mapping = issubclass(_class(origin), Mapping)
        return {f"{name}-{next(_NEXT)}": _value(inner[1], name)} if mapping else _value(inner[0], name)
    return {str: f"{name}-{next(_NEXT)}", int: next(_NEXT), float: next(_NEXT) + 0.5, bool: True}[hint]


def _class(origin: Any) -> type:
    return origin if isinstance(origin, type) else type


def with_unknown(record: R) -> R:
    """The record with an unknown field, in it and in every record inside."""
    changes: dict[str, Any] = {"extra": {"unknown": next(_NEXT)}}
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Record):
            changes[field.name] = with_unknown(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Record):
            changes[field.name] = tuple(map(with_unknown, value))
    return replace(record, **changes)

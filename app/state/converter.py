"""Say to cattrs how strictly the values of records are read, and how they are written; see `codec` for its use."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import partial
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from cattrs import AttributeValidationNote, BaseValidationError, Converter, IterableValidationNote, override
from cattrs.cols import homogenous_tuple_structure_factory, is_mapping, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from app.model.gpu_health import OutOfService
from app.model.messages import SENTENCE, Text, from_json, to_json
from app.model.operation import Operation
from app.model.record import LARGEST, LONGEST_LIST, LONGEST_TEXT, Longest, Record
from app.model.volume import VolumeRecord

T = TypeVar("T")
Json = dict[str, Any]
Hook = Callable[[Any, Any], Any]
# What a field is called in etcd where that is not its name here.
_STORED_AS: Mapping[type, Mapping[str, str]] = {VolumeRecord: {"driver": "way"}}
# What is written for others who read etcd, and never read here.
_DERIVED: Mapping[type, tuple[str, ...]] = {OutOfService: ("by",)}
# A gpudock of the version before refuses fields that it does not know: they are written where they say something.
_SINCE_RESOLVE = ("tries", "stuck")
# A sentence may quote what Docker or a program said.
_LONGEST_SENTENCE = 1 << 16
# The largest real numbers in records are seconds since 1970: what is later than the year 9999 is no date for Python.
_LATEST = 253_402_300_799
_TEXT, _LIST, _OBJECT = Text("a text"), Text("a list"), Text("an object")
_WHOLE, _NUMBER, _TRUTH = Text("a whole number"), Text("a number"), Text("true or false")
_NAMES: Mapping[type, Text] = {str: _TEXT, list: _LIST, dict: _OBJECT}


class Wrong(ValueError):
    """A value that its field cannot have; `problem` says why."""

    def __init__(self, problem: Text) -> None:
        super().__init__(problem)
        self.problem = problem


def problems(exc: BaseException, path: str = "") -> Iterator[Text]:
    """Each wrong value of a record, and where it is."""
    if isinstance(exc, BaseValidationError):
        for found in exc.exceptions:
            yield from problems(found, path + _place(found))
    else:
        missing = Text("it is missing") if isinstance(exc, KeyError) else Text("it is damaged")
        problem = exc.problem if isinstance(exc, Wrong) else missing
        yield Text("{field}: {problem}", field=path.lstrip("."), problem=problem) if path else problem


def _place(exc: BaseException) -> str:
    """The field or place in a list where it was raised, as cattrs notes it."""
    for note in getattr(exc, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]"
    return ""


def shown(value: object) -> str:
    """Return how a value is called in a message; what a text, list or object holds may be secret."""
    return _NAMES.get(type(value)) or repr(value)[:30]


def _word(kind: Any, converter: Converter) -> Hook:
    """Return what reads a word of a StrEnum; one that only a later gpudock knows stays as it is."""
    words = next(each for each in get_args(kind) if each is not str)

    def read_word(value: object, _: object) -> str:
        word = _text(value, str)
        return words(word) if word in list(words) else word

    return read_word


def _typed(value: object, kind: type[T], name: Text) -> T:
    # Not isinstance: True is no number, whatever Python says.
    if type(value) is not kind:
        raise Wrong(Text("{value} is not {kind}", value=shown(value), kind=name))
    return value


def _text(value: object, _: object, longest: int = LONGEST_TEXT) -> str:
    text = _typed(value, str, _TEXT)
    if len(text) > longest:
        raise Wrong(Text("a text of {length} characters is longer than {most}", length=len(text), most=longest))
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise Wrong(Text("a text with half a character cannot be shown"))
    return text


def _number(value: object, _: object, highest: int = LARGEST) -> int:
    number = _typed(value, int, _WHOLE)
    if not 0 <= number <= highest:
        raise Wrong(Text("{value} is not from 0 to {most}", value=shown(number), most=highest))
    return number


def _real(value: object, _: object) -> float:
    number = float(_number(value, int)) if type(value) is int else _typed(value, float, _NUMBER)
    if not 0 <= number <= _LATEST:
        raise Wrong(Text("{value} is not from 0 to {most}", value=shown(value), most=_LATEST))
    return number


def _flag(value: object, _: object) -> bool:
    return _typed(value, bool, _TRUTH)


def _sentence(value: object, _: object) -> str:
    if not isinstance(value, dict):
        return _text(value, str, _LONGEST_SENTENCE)
    try:
        return _text(value["text"], str, _LONGEST_SENTENCE) and from_json(value)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as exc:
        raise Wrong(Text("{value} is not {kind}", value=shown(value), kind=Text("a sentence"))) from exc


def _marked(kind: Any, converter: Converter) -> Hook:
    """Return what reads a text or number whose type says how large it may be."""
    _, mark = get_args(kind)
    if mark == SENTENCE:
        return _sentence
    return partial(_text, longest=mark.length) if isinstance(mark, Longest) else partial(_number, highest=mark.value)


def _list(kind: Any, converter: Converter) -> Hook:
    """Return what reads a tuple from a list: cattrs would take the letters of a text, or the keys of an object."""
    each = get_args(kind)
    inner = homogenous_tuple_structure_factory(kind, converter) if each[-1] is ... else _row(each, converter)

    def read_list(value: object, _: object) -> object:
        entries = _typed(value, list, _LIST)
        if len(entries) > LONGEST_LIST:
            raise Wrong(Text("a list of {length} is longer than {most}", length=len(entries), most=LONGEST_LIST))
        return inner(entries, kind)

    return read_list


def _row(each: Sequence[Any], converter: Converter) -> Hook:
    """Return what reads a tuple of so many values, each of its own type."""
    hooks = [converter.get_structure_hook(kind) for kind in each]

    def read_row(value: list[object], _: object) -> tuple[object, ...]:
        if len(value) != len(hooks):
            raise Wrong(Text("{value} does not have {count} entries", value=shown(value), count=len(hooks)))
        return tuple(hook(one, kind) for hook, one, kind in zip(hooks, value, each, strict=True))

    return read_row


def _mapping(kind: Any, converter: Converter) -> Hook:
    """Return what reads a mapping from an object."""
    inner = mapping_structure_factory(kind, converter)
    return lambda value, _: inner(_typed(value, dict, _OBJECT), kind)


def _object(kind: Any, converter: Converter) -> Hook:
    """Return what reads a dataclass from an object, and keeps what it does not know of a Record."""
    inner = make_dict_structure_fn(kind, converter, **_overrides(kind))
    known = {"schema", *_DERIVED.get(kind, ()), *(_stored_name(kind, field.name) for field in fields(kind))}

    def read_object(value: object, _: object) -> object:
        raw = _typed(value, dict, _OBJECT)
        found = inner(raw, kind)
        if isinstance(found, Record) and not known >= raw.keys():
            return replace(found, extra={name: raw[name] for name in raw if name not in known})
        return found

    return read_object


def _written(kind: Any, converter: Converter) -> Callable[[Any], Json]:
    """Return what makes an object of a Record."""
    inner = make_dict_unstructure_fn(kind, converter, **_overrides(kind))
    derived = _DERIVED.get(kind, ())

    def write_object(record: Record) -> Json:
        return {**record.extra, **inner(record), **{name: getattr(record, name) for name in derived}}

    return write_object


def _overrides(kind: Any) -> dict[str, Any]:
    """Return how the fields of a dataclass differ from what cattrs does by itself."""
    renamed = {name: override(rename=stored) for name, stored in _STORED_AS.get(kind, {}).items()}
    if issubclass(kind, Operation):
        renamed |= {name: override(omit_if_default=True) for name in _SINCE_RESOLVE}
    return {**renamed, "extra": override(omit=True)} if _is_record(kind) else renamed


def _stored_name(kind: Any, name: str) -> str:
    return _STORED_AS.get(kind, {}).get(name, name)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Record)


def _is_object(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind)


def _is_marked(kind: Any) -> bool:
    return get_origin(kind) is Annotated


def _is_word(kind: Any) -> bool:
    """Tell if it is a StrEnum or a text."""
    of = get_args(kind) if isinstance(kind, UnionType) else ()
    return str in of and any(isinstance(each, type) and issubclass(each, StrEnum) for each in of)


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _make_converter() -> Converter:
    converter = Converter(unstruct_collection_overrides={tuple: list})
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(int, _number)
    converter.register_structure_hook(float, _real)
    converter.register_structure_hook(bool, _flag)
    converter.register_structure_hook_factory(_is_marked, _marked)
    converter.register_structure_hook_factory(_is_word, _word)
    converter.register_structure_hook_factory(_is_tuple, _list)
    converter.register_structure_hook_factory(is_mapping, _mapping)
    converter.register_structure_hook_factory(_is_object, _object)
    converter.register_unstructure_hook_factory(_is_record, _written)
    converter.register_unstructure_hook_func(lambda kind: SENTENCE in get_args(kind), to_json)
    return converter


CONVERTER = _make_converter()

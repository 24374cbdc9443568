"""Records in JSON: what was parsed, as the dataclass that was written, or what is wrong with it."""

import dataclasses
import reprlib
import types
import typing
from collections.abc import Mapping

_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a float",
    bool: "true or false",
}


def read(kind, value, where: str = ""):
    """What `json.loads` gave, as the type that a field is annotated with.

    Args:
      kind: a dataclass, a tuple, a mapping from strings, one of these or None, or a type of JSON.
      value: of any type.
      where: the path of the value in its record, for messages.

    Raises:
      ValueError: it is none; the message says where, what was expected, and what was found.
    """
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        [other] = set(arguments) - {types.NoneType}
        return None if value is None else read(other, value, where)
    if dataclasses.is_dataclass(kind):
        kinds = typing.get_type_hints(kind)
        found = _json(dict, value, where)
        for what, names in (("missing", kinds.keys() - found), ("unknown", found.keys() - kinds)):
            if names:
                raise ValueError(f"{where or 'the record'}: {what}: {', '.join(sorted(names))}")
        inside = f"{where}." if where else ""
        return kind(**{name: read(kinds[name], found[name], inside + name) for name in kinds})
    if typing.get_origin(kind) is Mapping:
        found = _json(dict, value, where)
        return {key: read(arguments[1], found[key], f"{where}[{key!r}]") for key in found}
    if typing.get_origin(kind) is tuple:
        found = _json(list, value, where)
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(found)
        if len(found) != len(arguments):
            raise ValueError(f"{where}: expected {len(arguments)} items, got {len(found)}")
        items = zip(arguments, found, strict=True)
        return tuple(read(item, one, f"{where}[{i}]") for i, (item, one) in enumerate(items))
    return _json(kind, value, where)


def _json(kind: type, value, where: str):
    if type(value) is not kind:
        name = _JSON_NAMES[kind]
        raise ValueError(f"{where or 'the record'}: expected {name}, got {reprlib.repr(value)}")
    return value

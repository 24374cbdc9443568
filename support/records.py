"""Records in JSON: parsed values are converted into dataclasses, and refused if their types differ."""

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
    """Convert what `json.loads` returned into the type that a field is annotated with.

    Args:
      kind: a dataclass, a tuple, a mapping from strings, a union of one of these and None, or a type
        that JSON has.
      value: value of any type.
      where: path of the value in its record, for messages.

    Returns:
      An instance of `kind`.

    Raises:
      ValueError: the value is not of that type. The message names the path, what was expected, and
        what was found.
    """
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        [not_none] = set(arguments) - {types.NoneType}
        return None if value is None else read(not_none, value, where)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        kinds = typing.get_type_hints(kind)
        fields = _json(dict, value, where)
        for what, names in (("missing", kinds.keys() - fields), ("unknown", fields.keys() - kinds)):
            if names:
                raise ValueError(f"{where or 'the record'}: {what}: {', '.join(sorted(names))}")
        inside = f"{where}." if where else ""
        return kind(**{name: read(kinds[name], fields[name], inside + name) for name in kinds})
    if typing.get_origin(kind) is Mapping:
        entries = _json(dict, value, where)
        return {key: read(arguments[1], entries[key], f"{where}[{key!r}]") for key in entries}
    if typing.get_origin(kind) is tuple:
        items = _json(list, value, where)
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(items)
        if len(items) != len(arguments):
            raise ValueError(f"{where}: expected {len(arguments)} items, got {len(items)}")
        pairs = zip(arguments, items, strict=True)
        return tuple(read(of, item, f"{where}[{i}]") for i, (of, item) in enumerate(pairs))
    return _json(kind, value, where)


def _json(kind: type, value, where: str):
    if type(value) is not kind:
        name = _JSON_NAMES[kind]
        raise ValueError(f"{where or 'the record'}: expected {name}, got {reprlib.repr(value)}")
    return value

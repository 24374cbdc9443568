"""Mutations of a protocol buffer that numbers describe: the same numbers, the same mutation."""

from google.protobuf import message
from google.protobuf.descriptor import FieldDescriptor

INTEGERS = (0, 1, -1, 2, 7, 64, 10**6, 2**31 - 1, -(2**31), 2**62, -(2**62))
FLOATS = (0.0, -1.0, 0.99, 1e38, float("inf"), float("nan"))
_INTEGER_KINDS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
    FieldDescriptor.CPPTYPE_ENUM,
)


def mutate(proto: message.Message, numbers: list[int], *, strings: list[str]) -> None:
    """Changes one thing in it.

    Args:
      proto: changed in place.
      numbers: the first is the kind of change, the second the value; the others lead to the place.
      strings: what strings may become.
    """
    kind, value, *path = [*numbers, 0, 0]
    for number in path:
        fields = sorted(proto.ListFields(), key=lambda pair: pair[0].number)
        if not fields:
            break
        field, found = fields[number % len(fields)]
        deeper = number // len(fields)
        if _is_map(field):
            inner = _in_map(found, field, kind, value, deeper, strings)
        elif field.is_repeated:
            inner = _in_list(found, field, kind, value, deeper, strings)
        else:
            inner = found if field.message_type else None
            if inner is None:
                _set(proto, field, kind, value, strings)
        if inner is None:
            return
        proto = inner
    if kind % 2:
        proto.Clear()
    else:
        _add(proto, value, strings)


def names(proto: message.Message, most: int = 2000) -> list[str]:
    """Strings in it, each once, in the order in which they are found."""
    found, waiting = {"": None, ":": None, "^": None, "a:b:c": None}, [proto]
    while waiting and len(found) < most:
        for field, value in waiting.pop().ListFields():
            values = [value[key] for key in sorted(value)] if _is_map(field) else value
            values = values if field.is_repeated else [values]
            for one in values:
                if isinstance(one, message.Message):
                    waiting.append(one)
                elif isinstance(one, str):
                    found[one] = None
    return list(found)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _in_map(values, field, kind: int, value: int, number: int, strings):
    """Goes on to a value of a map, or changes the map."""
    keys = sorted(values)
    key = keys[number % len(keys)]
    is_message = field.message_type.fields_by_name["value"].message_type
    match kind % 6:
        case 0:
            del values[key]
        case 1 if field.message_type.fields_by_name["key"].type == FieldDescriptor.TYPE_STRING:
            other = strings[value % len(strings)]
            if is_message:
                values[other].CopyFrom(values[key])
            else:
                values[other] = values[key]
        case _ if is_message:
            return values[key]
        case _:
            values[key] = strings[value % len(strings)]
    return None


def _in_list(values, field, kind: int, value: int, number: int, strings):
    """Goes on to an element of a list, or changes the list."""
    index = number % len(values)
    match kind % 8:
        case 0:
            del values[index]
        case 1:
            values.append(values[index])
        case 2:
            one, other = _copy(values[index]), _copy(values[value % len(values)])
            _put(values, index, other)
            _put(values, value % len(values), one)
        case 3:
            del values[:]
        case _ if field.message_type:
            return values[index]
        case _:
            values[index] = _scalar(field, value, strings)
    return None


def _copy(value):
    if isinstance(value, message.Message):
        copy = type(value)()
        copy.CopyFrom(value)
        return copy
    return value


def _put(values, index: int, value) -> None:
    if isinstance(value, message.Message):
        values[index].CopyFrom(value)
    else:
        values[index] = value


def _set(proto, field, kind: int, value: int, strings) -> None:
    if kind % 4:
        setattr(proto, field.name, _scalar(field, value, strings))
    else:
        proto.ClearField(field.name)


def _add(proto, value: int, strings) -> None:
    """Sets a field that may not have been there."""
    fields = proto.DESCRIPTOR.fields
    if not fields:
        return
    field = fields[value % len(fields)]
    if _is_map(field):
        return
    if field.is_repeated:
        found = getattr(proto, field.name)
        if field.message_type:
            found.add()
        else:
            found.append(_scalar(field, value // len(fields), strings))
    elif field.message_type:
        getattr(proto, field.name).SetInParent()
    else:
        setattr(proto, field.name, _scalar(field, value // len(fields), strings))


def _scalar(field, value: int, strings):
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        found = strings[value % len(strings)]
        return found.encode() if field.type == FieldDescriptor.TYPE_BYTES else found
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool(value % 2)
    if field.cpp_type in _INTEGER_KINDS:
        number = INTEGERS[value % len(INTEGERS)] if value % 2 else value
        most = 2**31 - 1 if "64" not in _name(field) else 2**62
        least = 0 if "UINT" in _name(field) else -most
        return max(least, min(most, number))
    return FLOATS[value % len(FLOATS)]


def _name(field) -> str:
    kinds = ("CPPTYPE_INT64", "CPPTYPE_UINT64", "CPPTYPE_UINT32")
    return next((k for k in kinds if getattr(FieldDescriptor, k) == field.cpp_type), "")

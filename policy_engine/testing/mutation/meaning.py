"""What a part of a checked policy means, apart from where and in which words it is written."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from msgspec import Struct

from policy_engine.language.checked import Meter

_PLACES = frozenset({"span", "ref", "sources", "digest"})


def meaning(part: Any) -> Any:
    """Nested tuples that are equal exactly if two parts mean the same. An order that decides nothing is kept too."""
    if isinstance(part, Meter):
        return part
    if isinstance(part, Struct):
        names = part.__struct_fields__
    elif is_dataclass(part) and not isinstance(part, type):
        names = tuple(field.name for field in fields(part))
    elif isinstance(part, tuple | list):
        return tuple(meaning(item) for item in part)
    elif isinstance(part, Mapping):
        return tuple((key, meaning(value)) for key, value in part.items())
    else:
        return part
    return (type(part).__name__, *(meaning(getattr(part, name)) for name in names if name not in _PLACES))

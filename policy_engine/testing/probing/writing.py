"""Plain data as the YAML of a test file: a case, its facts, one value."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_$€£][A-Za-z0-9_ .%$€£-]*", re.ASCII)
_AMOUNT = re.compile(r"\d+(\.\d+)?(%|ms|s|min|h|d)", re.ASCII)


def flat(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Counters beside the facts, as authors write them."""
    flat = {name: value for name, value in entries.items() if name != "meters"}
    return {**flat, **entries.get("meters", {})}


def item(entry: Mapping[str, Any]) -> Iterator[str]:
    """The lines of one item of a list, its mappings but `expect` written out."""
    lead = "- "
    for key, value in entry.items():
        if isinstance(value, dict) and key != "expect":
            yield f"{lead}{key}:"
            yield from (f"    {_scalar(name)}: {inline(inner)}" for name, inner in value.items())
        else:
            yield f"{lead}{key}: {inline(value)}"
        lead = "  "


def inline(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "~"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text not in ("true", "false", "null") and not text.endswith(" ")
    return text if plain or _AMOUNT.fullmatch(text) else json.dumps(text, ensure_ascii=False)

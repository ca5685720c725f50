"""The `lint` table of a settings file, as pydantic reads it; every mistake names its key."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy_engine.analysis.lint.choice import Choice, unknown_words
from policy_engine.analysis.lint.rule import Tier
from policy_engine.analysis.lint.settings_mistakes import SettingsError, lowered, near


@dataclass(frozen=True, slots=True)
class Read:
    """What the table says."""

    choice: Choice
    fail_on: Tier


class _Lint(BaseModel):
    """The table as written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    select: list[str] = []
    ignore: list[str] = []
    fail_on: str = Field(Tier.WARNING.value, alias="fail-on")
    tiers: dict[str, str] = {}


KEYS = tuple(field.alias or name for name, field in _Lint.model_fields.items())

_WRONG = {
    "string_type": "this is no text",
    "list_type": "this is no list",
    "dict_type": "this is no table",
}
_SHAPES = {
    "select": 'write a list of texts, such as ["L01", "L020"]',
    "ignore": 'write a list of texts, such as ["L01", "L020"]',
    "fail-on": 'write "error", "warning" or "note"',
    "tiers": 'write a table of codes and tiers, such as { L012 = "error" }',
}


def read_table(data: Mapping[str, Any], place: str) -> Read:
    """The table of a file; `place` is the file and the table's name. Raises `SettingsError`."""
    try:
        read = _Lint.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key, *inner = first["loc"]
        if first["type"] == "extra_forbidden":
            raise SettingsError(
                f"`{key}` is no setting", f"{place}.{key}", near(str(key), KEYS, "settings are")
            ) from None
        where = ".".join(map(str, (key, *inner)))
        raise SettingsError(
            _WRONG.get(first["type"], lowered(first["msg"])), f"{place}.{where}", _SHAPES[str(key)]
        ) from None
    for key, words in (("select", read.select), ("ignore", read.ignore), ("tiers", list(read.tiers))):
        for word, hint in unknown_words(words):
            raise SettingsError(f"no lint rule is called `{word}`", f"{place}.{key}", hint)
    tiers = {word: _tier(tier, f"{place}.tiers.{word}") for word, tier in read.tiers.items()}
    choice = Choice(select=tuple(read.select), ignore=tuple(read.ignore), tiers=tiers)
    return Read(choice, _tier(read.fail_on, f"{place}.fail-on"))


def _tier(word: str, place: str) -> Tier:
    if word not in set(Tier):
        raise SettingsError(f"`{word}` is no tier", place, near(word, tuple(Tier), "tiers are"))
    return Tier(word)

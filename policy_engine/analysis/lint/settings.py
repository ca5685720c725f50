"""What a project says about linting: `[tool.policy_engine.lint]` in pyproject.toml, `[lint]` in policy.toml.

The nearest of these files at or above the policy is read, alone; in one folder policy.toml goes first.

    [tool.policy_engine.lint]
    select = ["L"]            # codes, beginnings of codes, or names of rules
    ignore = ["L07"]
    fail-on = "warning"       # error, warning or note
    tiers = { L012 = "error" }
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy_engine.analysis.lint.choice import EVERYTHING, Choice, unknown_words
from policy_engine.analysis.lint.rule import Tier
from policy_engine.language.diagnostics import did_you_mean, one_of

OWN_FILE, PROJECT_FILE = "policy.toml", "pyproject.toml"
SECTIONS = ("lint",)


class SettingsError(ValueError):
    """Settings that cannot be used: `place` is the file and key, `hint` the one thing to do."""

    def __init__(self, message: str, place: str, hint: str) -> None:
        super().__init__(f"{place}: {message}")
        self.message, self.place, self.hint = message, place, hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Which rules run, and from which tier on a finding fails the run. `file` is where that was said, if anywhere."""

    choice: Choice = EVERYTHING
    fail_on: Tier = Tier.WARNING
    file: Path | None = None


class _Lint(BaseModel):
    """The table as written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    select: list[str] = []
    ignore: list[str] = []
    fail_on: str = Field(Tier.WARNING.value, alias="fail-on")
    tiers: dict[str, str] = {}


KEYS = tuple(field.alias or name for name, field in _Lint.model_fields.items())


def settings_for(paths: Iterable[Path]) -> Settings:
    """The settings that hold for these files and directories together. Raises `SettingsError`, `OSError`."""
    folders = [path if path.is_dir() else path.parent for path in (path.resolve() for path in paths)]
    start = _shared(folders) if folders else Path.cwd()
    for folder in (start, *start.parents):
        for name in (OWN_FILE, PROJECT_FILE):
            if (folder / name).is_file():
                found = _read(folder / name, required=False)
                if found is not None:
                    return found
    return Settings()


def settings_in(file: Path) -> Settings:
    """The settings of a file that was named. Raises `SettingsError`, `OSError`."""
    return _read(file, required=True) or Settings()


def _shared(folders: list[Path]) -> Path:
    first = folders[0]
    return next(
        (
            folder
            for folder in (first, *first.parents)
            if all(folder == other or folder in other.parents for other in folders)
        ),
        Path.cwd(),
    )


def _read(file: Path, *, required: bool) -> Settings | None:
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if file.name == PROJECT_FILE and not required:
            return None  # another tool's business; nothing says that it speaks of us
        raise SettingsError(f"this is no TOML: {_lowered(str(error))}", str(file), "mend the file") from None
    prefix = ""
    if file.name == PROJECT_FILE:
        tool = data.get("tool")
        data = tool.get("policy_engine") if isinstance(tool, dict) else None  # type: ignore[assignment]  # checked below
        if data is None:
            return Settings(file=file) if required else None
        prefix = "tool.policy_engine"
    _table(data, file, prefix)
    for key in data:
        if key not in SECTIONS:
            place = ".".join(part for part in (prefix, key) if part)
            raise SettingsError(f"`{key}` is no section", f"{file}: {place}", _near(key, SECTIONS, "sections are"))
    section = ".".join(part for part in (prefix, "lint") if part)
    return _settings(_table(data.get("lint", {}), file, section), file, section)


def _table(data: object, file: Path, place: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise SettingsError("this is no table", f"{file}: {place}", f"write it as `[{place}]`")
    return data


def _settings(data: Mapping[str, Any], file: Path, section: str) -> Settings:
    def at(key: object) -> str:
        return f"{file}: {section}.{key}"

    try:
        read = _Lint.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key, *inner = first["loc"]
        if first["type"] == "extra_forbidden":
            raise SettingsError(f"`{key}` is no setting", at(key), _near(str(key), KEYS, "settings are")) from None
        where = ".".join(map(str, (key, *inner)))
        raise SettingsError(_WRONG.get(first["type"], _lowered(first["msg"])), at(where), _SHAPES[str(key)]) from None
    for key, words in (("select", read.select), ("ignore", read.ignore), ("tiers", list(read.tiers))):
        for word, hint in unknown_words(words):
            raise SettingsError(f"no lint rule is called `{word}`", at(key), hint)
    tiers = {word: _tier(tier, at(f"tiers.{word}")) for word, tier in read.tiers.items()}
    choice = Choice(select=tuple(read.select), ignore=tuple(read.ignore), tiers=tiers)
    return Settings(choice=choice, fail_on=_tier(read.fail_on, at("fail-on")), file=file)


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


def _tier(word: str, place: str) -> Tier:
    if word not in set(Tier):
        raise SettingsError(f"`{word}` is no tier", place, _near(word, tuple(Tier), "tiers are"))
    return Tier(word)


def _near(word: str, known: tuple[str, ...], listed: str) -> str:
    return did_you_mean(word, known) or f"{listed} {one_of(known)}"


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:].removesuffix(".")

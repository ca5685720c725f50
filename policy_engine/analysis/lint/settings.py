"""What a project says about linting: `[tool.policy_engine.lint]` in pyproject.toml, `[lint]` in policy.toml.

The nearest of these files at or above the policy is read, alone; in one folder policy.toml goes first.

    [tool.policy_engine.lint]
    select = ["L"]            # codes, beginnings of codes, or names of rules
    ignore = ["L07"]
    fail-on = "warning"       # error, warning or note
    tiers = { L012 = "error" }
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_engine.analysis.lint.choice import EVERYTHING, Choice
from policy_engine.analysis.lint.rule import Tier
from policy_engine.analysis.lint.settings_mistakes import SettingsError, lowered, near

OWN_FILE, PROJECT_FILE = "policy.toml", "pyproject.toml"
SECTIONS = ("lint",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Which rules run, and from which tier on a finding fails the run. `file` is where that was said, if anywhere."""

    choice: Choice = EVERYTHING
    fail_on: Tier = Tier.WARNING
    file: Path | None = None


def settings_for(paths: Iterable[Path]) -> Settings:
    """The settings that hold for these files and directories together. Raises `SettingsError`, `OSError`."""
    folders = [path if path.is_dir() else path.parent for path in map(_real, paths)]
    start = _shared(folders) if folders else Path.cwd()
    for folder in (start, *start.parents):
        for name in (OWN_FILE, PROJECT_FILE):
            if (folder / name).is_file():
                found = _read(folder / name, required=False)
                if found is not None:
                    return found
    return Settings()


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself; reading it will say so
        return path.absolute()


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
        text = file.read_bytes()
        data: dict[str, Any] = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        if file.name == PROJECT_FILE and not required and b"tool.policy_engine" not in text:
            return None  # another tool's business; nothing says that it speaks of us
        if isinstance(error, RecursionError):
            raise SettingsError("this is no TOML of any use: nested too deep", str(file), "mend the file") from None
        raise SettingsError(f"this is no TOML: {lowered(str(error))}", str(file), "mend the file") from None
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
            raise SettingsError(f"`{key}` is no section", f"{file}: {place}", near(key, SECTIONS, "sections are"))
    section = ".".join(part for part in (prefix, "lint") if part)
    from policy_engine.analysis.lint.settings_table import read_table  # a project without settings needs no pydantic

    read = read_table(_table(data.get("lint", {}), file, section), f"{file}: {section}")
    return Settings(choice=read.choice, fail_on=read.fail_on, file=file)


def _table(data: object, file: Path, place: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise SettingsError("this is no table", f"{file}: {place}", f"write it as `[{place}]`")
    return data

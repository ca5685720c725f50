"""Files that a command rewrites: replaced whole or not at all; and what would change, as a patch."""

import os
from contextlib import suppress
from errno import EACCES, EINVAL
from pathlib import Path
from secrets import token_hex
from stat import S_ISREG

from policy_engine.cli.render import Screen


def replace_file(path: Path, text: str) -> None:
    """Write a file, whole or not at all: an old one keeps its mode, and a link stays a link.

    Raises `OSError`, and then nothing has changed; also for what is no file (a device, a pipe), which has no content
    that could be replaced.
    """
    old = _stat(path)
    if old is not None and not S_ISREG(old.st_mode):
        raise OSError(EINVAL, "is no file that can be replaced", str(path))
    target = path.resolve()
    if old is not None and not os.access(target, os.W_OK):
        raise PermissionError(EACCES, "the file is read-only", str(path))  # replacing it would not ask
    fresh = target.with_name(f".{target.name}.{token_hex(6)}")
    try:
        fresh.touch(0o666 if old is None else 0o600, exist_ok=False)  # nobody reads more than before
        fresh.write_bytes(text.encode())
        if old is not None:
            fresh.chmod(old.st_mode & 0o7777)
        fresh.replace(target)
    except BaseException:
        with suppress(OSError):
            fresh.unlink()
        raise


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def unified(name: str, before: str, after: str, what: str) -> str:
    """A patch of one file; `what` became of it is said behind its name."""
    from difflib import unified_diff

    old, new = (_lines(text) for text in (before.replace("\r\n", "\n"), after))
    found = list(unified_diff(old, new, name, f"{name} ({what})"))
    if not found:
        found = [f"--- {name}\n", f"+++ {name} ({what})\n", "only line ends or the byte order mark differ\n"]
    return "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in found)


def show_diff(screen: Screen, patch: str) -> None:
    """A patch, coloured."""
    roles = {"+": "added", "-": "removed", "@": "gutter"}
    for line in patch.removesuffix("\n").split("\n"):
        screen.say((line, "title" if line.startswith(("---", "+++")) else roles.get(line[:1], "")))


def _lines(text: str) -> list[str]:
    """Lines with their break; `splitlines` would also break at signs that a comment may hold."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1].removesuffix("\n")
    return lines if lines[-1] else lines[:-1]

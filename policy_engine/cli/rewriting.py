"""Files that a command rewrites: replaced whole or not at all; and what would change, as a patch."""

import os
from errno import EACCES
from pathlib import Path
from tempfile import NamedTemporaryFile

from policy_engine.cli.render import Screen


def replace_file(path: Path, text: str) -> None:
    """Replace a file at once, keeping its mode; a link stays a link. Raises `OSError`, and then nothing has changed."""
    target = path.resolve()
    if not os.access(target, os.W_OK):
        raise PermissionError(EACCES, "the file is read-only", str(path))  # replacing it would not ask
    with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as fresh:
        try:
            fresh.write(text.encode())
            fresh.close()
            Path(fresh.name).chmod(target.stat().st_mode & 0o7777)
            Path(fresh.name).replace(target)
        except BaseException:
            Path(fresh.name).unlink(missing_ok=True)
            raise


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

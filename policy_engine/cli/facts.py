"""Facts as a file gives them: one JSON object, or one on each line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

MAX_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """The facts of one line, or what is wrong with it. `line` is 1-based."""

    line: int
    facts: Mapping[str, Any] | None
    problem: str = ""
    is_json: bool = False


def read_entries(stream: IO[bytes]) -> Iterator[Entry]:
    """Every entry of a file, bad ones included, as they come; empty lines are passed over.

    A file is one object over several lines if it is that as a whole; else each line stands for itself.
    """
    number, first = _first_line(stream)
    if first is None:
        return
    entry = _entry(number, first)
    if entry.facts is not None:
        yield entry
        yield from _lines(stream, number)
        return
    rest = stream.read()
    whole = _entry(number, first + rest)
    if whole.is_json or not rest.strip():
        yield whole
        return
    entries = [entry, *_lines(iter(rest.splitlines(keepends=True)), number)]
    # Not a line of it is an object: it was meant as one text, and is wrong as one.
    yield from entries if any(item.facts is not None for item in entries) else [whole]


def _first_line(stream: IO[bytes]) -> tuple[int, bytes | None]:
    for number, line in enumerate(stream, 1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if text.strip():
            return number, text
    return 0, None


def _lines(lines: Iterator[bytes] | IO[bytes], before: int) -> Iterator[Entry]:
    for number, line in enumerate(lines, before + 1):
        if line.strip():
            yield _entry(number, line)


def _entry(line: int, data: bytes) -> Entry:
    try:
        value = json.loads(data.decode().rstrip(), object_pairs_hook=_object, parse_constant=_no_number)
    except UnicodeDecodeError:
        return Entry(line, None, "this is not UTF-8 text")
    except json.JSONDecodeError as error:
        place = f"line {line + error.lineno - 1}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        return Entry(line, None, f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]} at {place}")
    except RecursionError:
        return Entry(line, None, "this is not JSON of any use: it is nested too deep")
    except ValueError as error:
        what = "a number has too many digits" if "int_max_str_digits" in str(error) else str(error)
        return Entry(line, None, what)
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else f"`{data.decode().strip()[:MAX_SHOWN]}`"
        return Entry(line, None, f"facts are a JSON object, one per line; this is {kind}", is_json=True)
    return Entry(line, value, is_json=True)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"`{name[:MAX_SHOWN]}` is given twice")
        made[name] = value
    return made


def _no_number(name: str) -> float:
    raise ValueError(f"`{name}` is not a number")

"""Coverage as Cobertura XML (coverage-04.dtd), which build servers read: a set is a package, a file a class."""

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import quoteattr

from policy_engine import __version__
from policy_engine.testing.coverage.lines import Counts, Line, counts, lines_of, sources
from policy_engine.testing.coverage.measure import Coverage

DOCTYPE = '<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">'


def cobertura(sets: Mapping[str, Coverage], *, timestamp: int) -> str:
    """The report of several policy sets by name. `timestamp` is in milliseconds since the epoch."""
    by_file = {
        name: {source.name: lines_of(coverage, source) for source in sources(coverage)}
        for name, coverage in sets.items()
    }
    whole = counts(line for files in by_file.values() for lines in files.values() for line in lines)
    parts = ['<?xml version="1.0" encoding="utf-8"?>', DOCTYPE]
    parts.append(
        _open(
            "coverage",
            _rates(whole)
            | {
                "lines-covered": whole.lines_seen,
                "lines-valid": whole.lines,
                "branches-covered": whole.branches_seen,
                "branches-valid": whole.branches,
                "complexity": 0,
                "version": f"policy_engine {__version__}",
                "timestamp": timestamp,
            },
        )
    )
    parts += ["  <sources>", "    <source>.</source>", "  </sources>", "  <packages>"]
    for name, files in by_file.items():
        parts.append("    " + _open("package", {"name": name, **_rates(_sum(files.values())), "complexity": 0}))
        parts.append("      <classes>")
        for file, lines in files.items():
            parts += _class(file, lines)
        parts += ["      </classes>", "    </package>"]
    parts += ["  </packages>", "</coverage>", ""]
    return "\n".join(parts)


def _class(file: str, lines: list[Line]) -> Iterable[str]:
    pad = " " * 8
    name = file.rpartition("/")[2]
    yield pad + _open("class", {"name": name, "filename": file, **_rates(counts(lines)), "complexity": 0})
    yield f"{pad}  <methods/>"
    yield f"{pad}  <lines>"
    for line in lines:
        yield from (f"{pad}    {part}" for part in _line(line))
    yield f"{pad}  </lines>"
    yield f"{pad}</class>"


def _line(line: Line) -> Iterable[str]:
    if not line.branches:
        yield _closed("line", {"number": line.number, "hits": line.hits, "branch": "false"})
        return
    every = len(line.branches)
    covered = f"{100 * line.taken // every}% ({line.taken}/{every})"
    shown = {"number": line.number, "hits": line.hits, "branch": "true", "condition-coverage": covered}
    yield _open("line", shown)
    yield "  <conditions>"
    for number, (_, pair) in enumerate(_pairs(line)):
        share = f"{50 * sum(pair) if len(pair) == 2 else 100 * sum(pair)}%"
        yield "    " + _closed("condition", {"number": number, "type": "jump", "coverage": share})
    yield "  </conditions>"
    yield "</line>"


def _pairs(line: Line) -> list[tuple[object, list[bool]]]:
    """Branches that are two sides of one thing: decided and passed over of a rule, true and false of a comparison."""
    found: dict[object, list[bool]] = {}
    for goal, seen in line.branches:
        found.setdefault((goal.rule, goal.atom), []).append(seen)
    return list(found.items())


def _sum(files: Iterable[list[Line]]) -> Counts:
    return counts(line for lines in files for line in lines)


def _rates(of: Counts) -> dict[str, object]:
    return {"line-rate": f"{of.line_rate:.4f}", "branch-rate": f"{of.branch_rate:.4f}"}


def _open(element: str, attributes: Mapping[str, object]) -> str:
    written = "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items())
    return f"<{element}{written}>"


def _closed(element: str, attributes: Mapping[str, object]) -> str:
    return f"{_open(element, attributes)[:-1]}/>"

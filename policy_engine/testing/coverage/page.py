"""Coverage as one HTML page per policy set: its text with every rule and comparison marked, and the gaps beside it.

The page is complete in itself: no script, no font, no picture from elsewhere. It follows the reader's light or dark.
"""

from collections.abc import Iterator
from html import escape

from policy_engine.language.source import Source
from policy_engine.testing.coverage.lines import lines_of, sources
from policy_engine.testing.coverage.measure import Coverage, Gap
from policy_engine.testing.coverage.tally import ATOM_MARKS, RULE_MARKS, Mark, Subject, goals

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2430; --quiet: #5d6878; --line: #e3e7ed; --code: #f7f8fa;
  --full: #1a7f4b; --full-back: #e6f5ec; --part: #8a5a00; --part-back: #fff3d6; --none: #b3261e; --none-back: #fde8e6; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ink: #e4e8ee; --quiet: #98a3b3; --line: #2b323d;
  --code: #1a1f28; --full: #6fd39b; --full-back: #14301f; --part: #f0c36a; --part-back: #362a10; --none: #ff9a92;
  --none-back: #3b1a18; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
p { margin: .25rem 0; } .quiet { color: var(--quiet); }
.totals { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.5rem 0; }
.total { flex: 1 1 9rem; border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.total b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.meter { height: .3rem; border-radius: .15rem; background: var(--none-back); margin-top: .4rem; overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--full); }
.legend span, .mark { padding: 0 .3rem; border-radius: .25rem; white-space: nowrap; }
.full { background: var(--full-back); color: var(--full); } .part { background: var(--part-back); color: var(--part); }
.none { background: var(--none-back); color: var(--none); }
.source { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--code); }
table.code { border-collapse: collapse; font: 13px/1.55 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
table.code td { padding: 0 .75rem; white-space: pre; vertical-align: top; }
table.code td.n { text-align: right; color: var(--quiet); user-select: none; border-right: 1px solid var(--line); }
table.code td.n a { color: inherit; text-decoration: none; }
table.code td.h { text-align: right; color: var(--quiet); user-select: none; font-variant-numeric: tabular-nums; }
table.code tr.none td.n { box-shadow: inset 4px 0 var(--none); } table.code tr.part td.n { box-shadow: inset 4px 0
  var(--part); } table.code tr.full td.n { box-shadow: inset 4px 0 var(--full); }
table.code tr.none, table.code tr.part, table.code tr.full { background: none; color: inherit; }
table.code span { border-radius: .2rem; }
ul.gaps { list-style: none; padding: 0; } ul.gaps > li { border-top: 1px solid var(--line); padding: .6rem 0; }
ul.gaps code, dd code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
ul.gaps ul { margin: .2rem 0 0; padding-left: 1.25rem; } .facts { color: var(--quiet); overflow-wrap: anywhere; }
a { color: inherit; text-decoration-color: var(--line); }
"""

_LABELS = {
    Mark.EVALUATED: "rules evaluated",
    Mark.DECIDED: "rules that decided",
    Mark.PASSED_OVER: "rules passed over",
    Mark.TRUE: "comparisons true",
    Mark.FALSE: "comparisons false",
}


def page(name: str, coverage: Coverage) -> str:
    """The page of one set."""
    return "".join(_parts(name, coverage))


def _parts(name: str, coverage: Coverage) -> Iterator[str]:
    title = escape(name)
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}: policy coverage</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
    cases = f"{coverage.cases:,} {'case' if coverage.cases == 1 else 'cases'}"
    asked = sum(coverage.tally.decisions.values())
    yield f'<p class="quiet">{cases}, {asked:,} decisions, {coverage.percent:.1f}% of what tests can show</p>\n'
    yield '<div class="totals">'
    for mark in (*RULE_MARKS, *ATOM_MARKS):
        seen, possible = coverage.counted(mark)
        share = 100 * seen / possible if possible else 100
        yield f'<div class="total"><b>{seen:,} / {possible:,}</b>{_LABELS[mark]}'
        yield f'<div class="meter"><i style="width:{share:.1f}%"></i></div></div>'
    yield "</div>\n"
    yield '<p class="legend"><span class="full">all seen</span> <span class="part">some seen</span> '
    yield '<span class="none">none seen</span> <span class="quiet">the number beside a line says how many decisions '
    yield "evaluated its rule</span></p>\n"
    for number, source in enumerate(sources(coverage)):
        yield f"<h2>{escape(source.name)}</h2>\n"
        yield from _source(coverage, source, number)
    yield from _gaps(coverage)
    yield "</body></html>\n"


# ---------------------------------------------------------------- the text


def _source(coverage: Coverage, source: Source, file: int) -> Iterator[str]:
    lines = {line.number: line for line in lines_of(coverage, source)}
    marks = _marks(coverage, source)
    yield '<div class="source"><table class="code">\n'
    start = 0
    for number, text in enumerate(source.text.split("\n"), 1):
        line = lines.get(number)
        state, hits = "", ""
        if line is not None:
            hits = f"{line.hits:,}" if line.is_rule else ""
            whole = line.hits and line.taken == len(line.branches)
            state = ' class="full"' if whole else ' class="part"' if line.hits or line.taken else ' class="none"'
        shown = _marked(text, start, marks)
        anchor = f"f{file}l{number}"
        yield f'<tr{state} id="{anchor}"><td class="n"><a href="#{anchor}">{number}</a></td>'
        yield f'<td class="h">{hits}</td><td>{shown}</td></tr>\n'
        start += len(text) + 1
    yield "</table></div>\n"


def _marks(coverage: Coverage, source: Source) -> dict[int, tuple[int, str, str]]:
    """Stretches of text to be marked, by where they begin: their end, class and words. They do not overlap."""
    found: dict[int, tuple[int, str, str]] = {}
    for subject in coverage.subjects:
        if subject.span.source is not source:
            continue
        head = subject.atoms[0].span.start if subject.atoms else subject.span.end
        words = source.text[subject.span.start : head].rstrip()
        for end in (" when", " unless"):
            words = words.removesuffix(end)
        found[subject.span.start] = (subject.span.start + len(words), *_state(coverage, subject, None))
        for number, atom in enumerate(subject.atoms):
            found[atom.span.start] = (atom.span.end, *_state(coverage, subject, number))
    return found


def _state(coverage: Coverage, subject: Subject, atom: int | None) -> tuple[str, str]:
    """The class of a rule (without its condition) or of one comparison, and what was seen of it."""
    seen = coverage.tally.seen
    mine = [goal for goal in goals(subject) if goal.atom == atom and goal not in coverage.impossible]
    shown = [f"{goal.mark.value.replace('_', ' ')} {seen[goal]:,}" for goal in mine]
    if atom is not None and coverage.tally.unknown[subject.ref, atom]:
        shown.append(f"unknown {coverage.tally.unknown[subject.ref, atom]:,}")
    hit = sum(bool(seen[goal]) for goal in mine)
    return ("full" if hit == len(mine) else "part" if hit else "none"), ", ".join(shown)


def _marked(text: str, start: int, marks: dict[int, tuple[int, str, str]]) -> str:
    """One line with its marks. A stretch that goes on in the next lines is marked in each of them."""
    parts: list[str] = []
    at, end = start, start + len(text)
    for begin in sorted(marks):
        stop, state, words = marks[begin]
        left, right = max(begin, start), min(stop, end)
        if left < right:
            parts.append(escape(text[at - start : left - start]))
            inside = escape(text[left - start : right - start])
            parts.append(f'<span class="{state}" title="{escape(words)}">{inside}</span>')
            at = right
    parts.append(escape(text[at - start :]))
    return "".join(parts)


# ---------------------------------------------------------------- the gaps


def _gaps(coverage: Coverage) -> Iterator[str]:
    files = {source.name: number for number, source in enumerate(sources(coverage))}
    open_ = [gap for gap in coverage.gaps if not gap.impossible]
    yield f"<h2>{'What no test has seen' if open_ else 'Tests have seen all of it'}</h2>\n"
    yield from _listed(open_, files)
    closed = [gap for gap in coverage.gaps if gap.impossible]
    if closed:
        yield "<h2>What nothing can reach</h2>\n"
        yield '<p class="quiet">Proven: no facts do it. These count against nobody.</p>\n'
        yield from _listed(closed, files)


def _listed(gaps: list[Gap], files: dict[str, int]) -> Iterator[str]:
    by_rule: dict[Subject, list[Gap]] = {}
    for gap in gaps:
        by_rule.setdefault(gap.subject, []).append(gap)
    yield '<ul class="gaps">\n'
    for subject, found in by_rule.items():
        ref = subject.ref
        link = f'<a href="#f{files[ref.file]}l{ref.line}">{escape(ref.place)}</a>'
        yield f'<li><code>{escape(ref.text)}</code> <span class="quiet">{link}</span>\n<ul>'
        for gap in found:
            yield f"<li>{_words(gap)}"
            if gap.facts is not None:
                yield f'<div class="facts"><code>{escape(gap.point or "")}: {escape(gap.shown)}</code></div>'
            yield "</li>\n"
        yield "</ul></li>\n"
    yield "</ul>\n"


def _words(gap: Gap) -> str:
    """The gap's words, those in backticks as code."""
    parts = escape(gap.words).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))

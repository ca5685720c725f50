"""Coverage for people: the shares, then every gap by rule, with the facts that would close it."""

from policy_engine.cli.render import Part, Screen
from policy_engine.cli.tables import Column, Table
from policy_engine.language.diagnostics import count
from policy_engine.testing.coverage.lines import counts, lines_of, sources
from policy_engine.testing.coverage.measure import Coverage, Gap
from policy_engine.testing.coverage.tally import ATOM_MARKS, RULE_MARKS, Mark, Subject

_HEADS = {
    Mark.EVALUATED: "evaluated",
    Mark.DECIDED: "decided",
    Mark.PASSED_OVER: "passed over",
    Mark.TRUE: "true",
    Mark.FALSE: "false",
}


def show_coverage(screen: Screen, name: str, coverage: Coverage, most: int, least: float | None) -> None:
    """One policy set. `most` rules with gaps are shown (0: all); `least` is the percent that is enough."""
    screen.say()
    screen.say(("Coverage of ", "title"), (name, "place"))
    _table(coverage).show(screen.say, screen.width)
    open_ = _by_rule([gap for gap in coverage.gaps if not gap.impossible])
    if open_:
        screen.say()
        shown = list(open_)[: most or None]
        for subject in shown:
            _show_rule(screen, subject, open_[subject])
        if len(shown) < len(open_):
            left = count(len(open_) - len(shown), "more rule")
            screen.say((f"and {left} with gaps; --show 0 shows them all", "quiet"))
    closed = [gap for gap in coverage.gaps if gap.impossible]
    if closed:
        screen.say()
        screen.say(("Out of reach, proven, and not counted:", "title"))
        for gap in closed:
            screen.say("  ", (gap.subject.ref.place, "place"), f" {gap.subject.ref.name}: {gap.words}")
    screen.say()
    enough = least is None or coverage.percent >= least
    seen, possible = coverage.counted()
    parts: list[Part] = [(f"{coverage.percent:.1f}%", "good" if enough else "bad")]
    parts.append(f" of what tests can show ({seen:,} of {possible:,})")
    parts += [] if enough else [f", less than {least:g}%"]
    screen.say(*parts)


def _table(coverage: Coverage) -> Table:
    columns = [Column("file", role="place"), Column("rules", right=True)]
    columns += [Column(_HEADS[mark], right=True) for mark in (*RULE_MARKS, *ATOM_MARKS)]
    columns += [Column("lines", right=True), Column("branches", right=True)]
    table = Table(columns)
    for source in sources(coverage):
        among = [subject for subject in coverage.subjects if subject.span.source is source]
        if not among:
            continue
        lines = counts(lines_of(coverage, source))
        shares = [_share(*coverage.counted(mark, among=among)) for mark in (*RULE_MARKS, *ATOM_MARKS)]
        table.rows.append(
            [source.name, f"{len(among):,}", *shares, _share(lines.lines_seen, lines.lines),
             _share(lines.branches_seen, lines.branches)]
        )  # fmt: skip
    return table


def _share(seen: int, possible: int) -> Part:
    if not possible:
        return ("-", "quiet")
    return (f"{100 * seen // possible}%", "good" if seen == possible else "")


def _by_rule(gaps: list[Gap]) -> dict[Subject, list[Gap]]:
    found: dict[Subject, list[Gap]] = {}
    for gap in gaps:
        found.setdefault(gap.subject, []).append(gap)
    return found


def _show_rule(screen: Screen, subject: Subject, gaps: list[Gap]) -> None:
    screen.say((subject.ref.place, "place"), " ", (subject.ref.name, "strong"))
    for gap in gaps:
        screen.say("  ", gap.words)
        if gap.facts is not None:
            screen.say("    ", (f"{gap.point}: {gap.shown}", "hint"))

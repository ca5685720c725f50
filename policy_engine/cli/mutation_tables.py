"""Mutants for people: what no case noticed, as a diff, each with a case that would."""

from policy_engine.cli.render import Part, Screen
from policy_engine.language.diagnostics import count
from policy_engine.testing.mutation.report import Report, Survivor


def show_mutation(screen: Screen, name: str, report: Report, most: int, least: float | None, *, sampled: bool) -> None:
    """One policy set. `most` survivors are shown (0: all); `least` is the percent that is enough."""
    screen.say()
    screen.say(("Mutants of ", "title"), (name, "place"))
    shown = report.survivors[: most or None]
    for survivor in shown:
        _show(screen, survivor)
    if len(shown) < len(report.survivors):
        left = count(len(report.survivors) - len(shown), "more change")
        screen.say()
        screen.say((f"and {left} that no case noticed; --show 0 shows them all", "quiet"))
    screen.say()
    screen.say(*_summary(report, least, sampled=sampled))


def _show(screen: Screen, survivor: Survivor) -> None:
    mutant = survivor.mutant
    screen.say()
    screen.say((str(mutant.span), "place"), " ", (f"{mutant.operator}: no case noticed", "strong"))
    for line in mutant.diff.splitlines()[2:]:
        role = "added" if line.startswith("+") else "removed" if line.startswith("-") else ""
        screen.say("  ", (line, "gutter" if line.startswith("@@") else role))
    if survivor.suggestion is None:
        screen.say(("  no single decision was found that tells them apart; a scenario may", "quiet"))
        return
    screen.say(("  a case that would notice:", "hint"))
    for line in survivor.suggestion.yaml.splitlines():
        screen.say("  ", line)


def _summary(report: Report, least: float | None, *, sampled: bool) -> list[Part]:
    enough = least is None or report.reaches(least, sampled=sampled)
    parts: list[Part] = [f"{count(report.made, 'mutant')}: {report.noticed:,} noticed"]
    parts += [", ", (f"{len(report.survivors):,} not", "bad")] if report.survivors else []
    if report.equivalent:
        parts.append(f", {len(report.equivalent):,} left out: proven to change nothing")
    if report.untried:
        parts += (
            [f", {report.untried:,} not in the sample"] if sampled else [", ", (f"{report.untried:,} not tried", "bad")]
        )
    if report.percent is not None:
        parts += ["; ", (f"{report.percent:.1f}%", "good" if enough else "bad")]
    if not enough:
        short = report.percent is not None and least is not None and report.percent < least
        parts.append(f", less than {least:g}%" if short else ", too few to say")
    parts.append((f" in {report.seconds:.1f}s", "quiet"))
    return parts

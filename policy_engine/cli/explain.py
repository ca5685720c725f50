"""`policy explain`: what a policy says, in plain words."""

from typing import TYPE_CHECKING

import click

from policy_engine.cli.app import CLEAN
from policy_engine.cli.options import ManyWords, color_option, policy_option, prices_option
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from policy_engine.analysis.explain.governing import Explanation, Groundless, Line
    from policy_engine.language.checked import CheckedPolicy

FORMS = ("text", "json", "markdown", "html", "mermaid")
_FOR_WHAT = {
    "rules": ("text", "json"),
    "path": ("text", "json", "mermaid"),
    "buyer": ("text", "json", "markdown", "html"),
}
"""Which formats there are of what is said."""

SENTENCE_ROOM = 58
"""Columns that a sentence needs to be read easily beside its place."""


@click.command("explain", cls=ManyWords)
@click.argument("outcome", metavar="[OUTCOME]", required=False)
@policy_option
@prices_option
@click.option("--plan", metavar="PLAN", help="Only for customers on this plan.")
@click.option("--lane", metavar="LANE", help="Only in this lane.")
@click.option("--path", "path", is_flag=True, help="Draw where a step goes: routes, retries, fallbacks.")
@click.option(
    "--for",
    "reader",
    type=click.Choice(["engineer", "buyer"]),
    default="engineer",
    help="Who reads it. A buyer is told of outcomes and prices, and not of how the work is done.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="text",
    help="`markdown` and `html` are for a buyer, `mermaid` is for --path.",
)
@color_option
def explain_command(
    outcome: str | None,
    paths: tuple[str, ...],
    prices: str | None,
    plan: str | None,
    lane: str | None,
    path: bool,
    reader: str,
    form: str,
    color: str,
) -> int:
    """Say in plain words what a policy does.

    For OUTCOME, or for every outcome: its price, then every rule that can apply to it, tightest first, each with
    its place. What cannot apply to the plan or the lane asked for is left out.

    \b
      policy explain support_draft --policy support.policy
      policy explain support_draft --plan growth --lane premium --policy support.policy
      policy explain support_draft --path --policy support.policy
      policy explain --for buyer --policy support.policy --format markdown

    Exit code: 0, or 2 if the policy has a mistake or an outcome, plan or lane is not in it.
    """  # noqa: D301 - click's mark for lines to be kept
    from policy_engine.cli.reading import open_policy

    what = "path" if path else "buyer" if reader == "buyer" else "rules"
    if path and reader == "buyer":
        raise click.UsageError("--path shows routes, which are not for a buyer")
    if reader == "buyer" and lane is not None:
        raise click.UsageError("--lane is not for a buyer")
    if form not in _FOR_WHAT[what]:
        raise click.UsageError(f"`{form}` is no format here; formats are {', '.join(_FOR_WHAT[what])}")
    screen = Screen(color)
    policy = open_policy(paths, "reference", screen, prices).checked
    _known(outcome, policy.outcomes, "outcome")
    _known(plan, policy.plans, "plan")
    _known(lane, policy.lanes, "lane")
    outcomes = _outcomes(policy, outcome, lane)
    if what == "path":
        _show_paths(screen, policy, outcomes, plan, lane, form)
    elif what == "buyer":
        _show_leaflet(screen, policy, outcome, plan, form)
    else:
        _show_rules(screen, policy, outcomes, plan, lane, form, whole=(outcome, plan, lane) == (None, None, None))
    return CLEAN


def _known(name: str | None, names: "Iterable[str]", what: str) -> None:
    from policy_engine.language.diagnostics import did_you_mean, one_of

    known = tuple(names)
    if name is not None and name not in known:
        hint = did_you_mean(name, known) or (f"{what}s are {one_of(known)}" if known else f"the policy has no {what}")
        raise Problem(f"there is no {what} `{name}`", hint=hint)


def _outcomes(policy: "CheckedPolicy", outcome: str | None, lane: str | None) -> tuple[str, ...]:
    """The outcomes asked for; of a lane, those that list it."""
    from policy_engine.language.diagnostics import one_of

    asked = (outcome,) if outcome is not None else tuple(policy.outcomes)
    found = tuple(name for name in asked if lane is None or lane in policy.outcomes[name].lanes)
    if not found and outcome is not None:
        hint = f"its lanes are {one_of(policy.outcomes[outcome].lanes)}"
        raise Problem(f"outcome `{outcome}` does not list lane `{lane}`", hint=hint)
    if not found:
        raise Problem(f"no outcome lists lane `{lane}`" if lane is not None else "the policy has no outcome")
    return found


# ---------------------------------------------------------------- rules


def _show_rules(
    screen: Screen,
    policy: "CheckedPolicy",
    outcomes: "tuple[str, ...]",
    plan: str | None,
    lane: str | None,
    form: str,
    *,
    whole: bool,
) -> None:
    from policy_engine.analysis.explain.governing import explain, groundless

    found = [explain(policy, name, plan, lane) for name in outcomes]
    idle = groundless(policy) if whole else ()
    if form == "json":
        from policy_engine.analysis.explain.records import explanation_record, groundless_record

        record: dict[str, object] = {"outcomes": [explanation_record(each, policy.currency) for each in found]}
        if whole:
            record["governs_nothing"] = [groundless_record(each) for each in idle]
        screen.json(record)
        return
    for number, explanation in enumerate(found):
        if number:
            screen.say()
        _show_explanation(screen, explanation)
    if idle:
        _show_groundless(screen, idle)


def _show_explanation(screen: Screen, explanation: "Explanation") -> None:
    about = [f"workflow {explanation.workflow}"]
    about += [f"plan {explanation.plan}"] if explanation.plan is not None else []
    about += [f"lane {explanation.lane}"] if explanation.lane is not None else []
    title = f' "{explanation.title}"' if explanation.title is not None else ""
    screen.say((explanation.outcome, "strong"), f"{title}: {', '.join(about)}")
    every = [line for section in explanation.sections for line in section.lines]
    widths = max(len(line.ref.place) for line in every), max(len(_label(line)) for line in every)
    for section in explanation.sections:
        screen.say()
        screen.say((section.title, "title"))
        _show_lines(screen, section.lines, *widths)
        if section.note:
            from textwrap import wrap

            for line in wrap(section.note, screen.width - 2):
                screen.say((f"  {line}", "quiet"))


def _show_lines(screen: Screen, lines: "Iterable[Line]", places: int, names: int) -> None:
    """Sentences beside their places, or above them where the places are long."""
    from textwrap import wrap

    from policy_engine.cli.tables import GAP, Column, Table

    room = screen.width - len(GAP) * 2 - places - (names + len(GAP) if names else 0)
    if room < SENTENCE_ROOM:
        for line in lines:
            for text in wrap(line.sentence + _never_decides(line), screen.width - 2, break_on_hyphens=False):
                screen.say(f"  {text}")
            screen.say("      ", (line.ref.place, "place"), f" {_label(line)}".rstrip())
        return
    table = Table([Column(wrapped=True), Column(role="place"), Column()], indent=GAP)
    for line in lines:  # padded, so that the columns of all sections stand in one line
        sentence = (line.sentence + _never_decides(line)).ljust(room)
        table.rows.append((sentence, line.ref.place.ljust(places), _label(line).ljust(names)))
    table.show(screen.say, screen.width)


def _label(line: "Line") -> str:
    return line.ref.name if line.rule is not None and line.ref.name != line.ref.text else ""


def _never_decides(line: "Line") -> str:
    from policy_engine.analysis.explain.english import listed
    from policy_engine.language.checked import CeilingRule

    if not line.idle or not isinstance(line.rule, CeilingRule):
        return ""

    tighter = listed([f"`{other.ref.name}`" for other in line.idle])
    when = "at every price" if any(each.percent_of_price is not None for each in (*line.idle, line.rule)) else "always"
    return f" It never decides: {tighter} {'is' if len(line.idle) == 1 else 'are'} {when} as tight or tighter."


def _show_groundless(screen: Screen, found: "Iterable[Groundless]") -> None:
    from policy_engine.cli.tables import Column, Table

    screen.say()
    screen.say(("Rules that govern nothing", "title"))
    table = Table([Column(wrapped=True), Column(role="place")], indent="  ")
    table.rows += [(f"`{each.ref.name}`: {each.reason}", each.ref.place) for each in found]
    table.show(screen.say, screen.width)


# ---------------------------------------------------------------- paths and buyers


def _show_paths(
    screen: Screen,
    policy: "CheckedPolicy",
    outcomes: "tuple[str, ...]",
    plan: str | None,
    lane: str | None,
    form: str,
) -> None:
    from policy_engine.analysis.explain.drawing import mermaid, tree
    from policy_engine.analysis.explain.path import paths

    found = [path for name in outcomes for path in paths(policy, name, lane, plan)]
    if form == "json":
        from policy_engine.analysis.explain.records import path_record

        screen.json({"paths": [path_record(path) for path in found]})
    elif form == "mermaid":
        _write(screen, mermaid(found))
    else:
        for number, path in enumerate(found):
            if number:
                screen.say()
            on_plan = f", plan {plan}" if plan is not None else ""
            screen.say((path.outcome, "strong"), f", lane {path.lane}{on_plan}")
            for line in tree(path, screen.width):
                screen.say(line if screen.is_unicode else _in_ascii(line))


def _show_leaflet(screen: Screen, policy: "CheckedPolicy", outcome: str | None, plan: str | None, form: str) -> None:
    from policy_engine.analysis.explain import pages
    from policy_engine.analysis.explain.buyer import leaflet

    found = leaflet(policy, outcome, plan)
    if form == "json":
        from policy_engine.analysis.explain.records import leaflet_record

        screen.json(leaflet_record(found))
        return
    if form == "text":
        for line in pages.text(found):
            screen.say(line)
    elif form == "html":
        # The page says that it is UTF-8; where the stream is not, its signs are written as numbers.
        signs = "strict" if screen.is_unicode else "xmlcharrefreplace"
        to = "utf-8" if screen.is_unicode else "ascii"
        _write(screen, (line.encode(to, signs).decode(to) for line in pages.html(found)))
    else:
        _write(screen, pages.markdown(found))
    for note in found.notes:
        screen.note(("Note: ", "warning"), note)


def _in_ascii(line: str) -> str:
    """For a terminal without line drawing."""
    for sign, plain in (("├─", "|-"), ("└─", "`-"), ("│", "|"), ("→", "->")):
        line = line.replace(sign, plain)
    return line


def _write(screen: Screen, lines: "Iterator[str]") -> None:
    """A text for a program."""
    for line in lines:
        screen.raw(line + "\n")

"""`policy eval`: decisions of a policy, for facts in JSON."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from policy_engine.cli.app import CLEAN, FINDINGS, UNREADABLE
from policy_engine.cli.options import ManyWords, PolicyPath, policy_options, screen_options
from policy_engine.cli.problems import Problem, refusal
from policy_engine.cli.render import Screen

if TYPE_CHECKING:
    from policy_engine.cli.facts import Entry
    from policy_engine.evaluation.decision import Decision
    from policy_engine.policy import Policy

POINTS = ("admit", "attempt", "progress", "failure", "settle")
STDIN = "-"


@dataclass(slots=True)
class Tally:
    """What became of the lines."""

    permitted: int = 0
    refused: int = 0
    bad: int = 0

    @property
    def exit_code(self) -> int:
        if self.bad:
            return UNREADABLE
        return FINDINGS if self.refused else CLEAN


@click.command("eval", cls=ManyWords)
@click.argument("point", metavar="POINT", type=click.Choice(POINTS))
@policy_options
@click.option("--facts", metavar="FILE", type=PolicyPath(), help="JSON: one object, or one per line; `-` for stdin.")
@click.option("--assume-zero", is_flag=True, help="Counters that are not given read zero, as on a fresh ledger.")
@click.option("--schema", is_flag=True, help="Print what POINT takes, and ask nothing.")
@screen_options
def eval_command(
    point: str,
    paths: tuple[str, ...],
    prices: str | None,
    engine: str,
    facts: str | None,
    assume_zero: bool,
    schema: bool,
    form: str,
    color: str,
) -> int:
    """Ask a policy for decisions, with facts in JSON.

    POINT is a decision point: admit (may this execution start?), attempt (may this attempt be made, with how
    much?), progress (may it go on?), failure (where to now?) or settle (what becomes of the unit?).

    \b
      policy eval admit --policy support.policy --schema
      policy eval admit --policy support.policy --facts ticket.json --assume-zero
      policy eval attempt --policy support.policy --facts calls.jsonl --format json
      echo '{"customer": "acme", "outcome": "reply"}' | policy eval admit -p support.policy --facts -

    A counter that is not given is unknown, and a ceiling on an unknown counter refuses; --assume-zero says that
    nothing was spent yet. A file with one object per line gives one decision per line; a line that cannot be
    used is reported on standard error and counted. With --format json a decision is one JSON object on one line.

    Exit code: 0 if all decisions let work go on, 1 if one does not, 2 if a line or the policy cannot be used.
    """  # noqa: D301 - click's mark for lines to be kept
    from policy_engine.cli.facts import read_entries
    from policy_engine.cli.reading import open_policy

    screen = Screen(color)
    if facts is None and not schema:
        raise click.UsageError("nothing to decide about: give --facts FILE, or --schema to see what to put in it")
    if facts == STDIN and STDIN in paths:
        raise click.UsageError("standard input cannot be both the policy and the facts")
    policy = open_policy(paths, engine, screen, prices)
    if facts is None or schema:
        _show_schema(screen, policy, point, form)
        return CLEAN
    ask = Questions(policy, point, screen, "<stdin>" if facts == STDIN else facts, assume_zero=assume_zero)
    with _opened(facts) as stream:
        if form == "json":
            for line, decision in ask.answers(read_entries(stream)):
                screen.json({"line": line, **decision.to_json()}, indent=None)
        else:
            _show(screen, ask, ask.answers(read_entries(stream)))
    if not ask.asked:
        raise Problem("no facts in it", ask.name, hint=f"see `policy eval {point} --schema` for what to give")
    if ask.misfits:
        screen.note(("  " + f"`policy eval {point} --schema` with the same policy says what can be given", "hint"))
    if ask.tally.bad and (form == "json" or ask.asked > 1):
        screen.note(_summary(ask.tally))
    return ask.tally.exit_code


class Questions:
    """Asks one policy at one point, entry by entry, and keeps count."""

    def __init__(self, policy: "Policy", point: str, screen: Screen, name: str, *, assume_zero: bool) -> None:
        self._policy = policy
        self._point = point
        self._screen = screen
        self._assume_zero = assume_zero
        self.name = name
        self.tally = Tally()
        self.misfits = False  # a line was JSON, but not what the policy takes

    @property
    def asked(self) -> int:
        return self.tally.permitted + self.tally.refused + self.tally.bad

    def answers(self, entries: "Iterator[Entry]") -> "Iterator[tuple[int, Decision]]":
        """The decisions with their lines; lines that cannot be used are reported at once."""
        for entry in entries:
            decision = self._answer(entry)
            if decision is None:
                continue
            if decision.permits:
                self.tally.permitted += 1
            else:
                self.tally.refused += 1
            yield entry.line, decision

    def _answer(self, entry: "Entry") -> "Decision | None":
        from policy_engine.evaluation.facts import FactError

        if entry.facts is None:
            self._report(entry.line, entry.problem)
            return None
        try:
            facts = self._policy.facts(self._point, entry.facts, assume_zero=self._assume_zero)
            decision: Decision = getattr(self._policy, self._point)(facts)
        except FactError as error:
            self.misfits = True
            self._report(entry.line, str(error))
            return None
        return decision

    def _report(self, line: int, problem: str) -> None:
        self.tally.bad += 1
        self._screen.note(("Error: ", "error"), (f"{self.name}:{line}: ", "place"), problem)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as stream:
            yield stream
    except OSError as error:
        if error.filename != name:
            raise
        raise Problem(refusal(error), name) from None


def _summary(tally: Tally) -> str:
    from policy_engine.language.diagnostics import count

    said = f"{count(tally.permitted + tally.refused, 'decision')}: "
    said += f"{tally.permitted:,} permitted, {tally.refused:,} refused"
    return said + (f"; {count(tally.bad, 'line')} left out" if tally.bad else "")


# ---------------------------------------------------------------- for people


def _show(screen: Screen, ask: Questions, answers: "Iterator[tuple[int, Decision]]") -> None:
    """One decision in full; several in a line each, and a count."""
    first = next(answers, None)
    second = next(answers, None) if first is not None else None
    if first is None:
        return
    if second is None and not ask.tally.bad:
        from policy_engine.cli.decisions import show_decision

        show_decision(screen, first[1])
        return
    for line, decision in chain([first], [second] if second else [], answers):
        screen.say((f"line {line}: ", "place"), (str(decision), "" if decision.permits else "bad"))
    if not ask.tally.bad:
        screen.say(_summary(ask.tally))


def _show_schema(screen: Screen, policy: "Policy", point: str, form: str) -> None:
    from policy_engine.cli.schema import json_schema, wanted
    from policy_engine.cli.tables import Column, Table
    from policy_engine.language.vocabulary import Point

    if form == "json":
        screen.json(json_schema(policy, Point(point)))
        return
    table = Table([Column("entry", role="strong"), Column("type"), Column("needed"), Column("meaning", wrapped=True)])
    table.rows += [(entry.name, entry.kind, entry.need, entry.note) for entry in wanted(policy, Point(point))]
    table.show(screen.say, screen.width)

"""The answerer on generated policies, held against trying: what it excludes is not found, what it finds does it."""

from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from policy_engine.analysis.flips import answer_of
from policy_engine.analysis.satisfy import Impossible, Satisfier, Undecided, Want, Witness
from policy_engine.analysis.satisfy.prove import prove
from policy_engine.analysis.witness import complete, flips, replay
from policy_engine.language.checked import reads
from policy_engine.language.vocabulary import Point
from policy_engine.policy import load
from tests.analysis.worlds import (
    Asked,
    Setting,
    all_places,
    counters_out_of_order,
    drawn,
    grid,
    questions,
    setting,
    truth,
    view_of,
    wanted_of,
)
from tests.generators.picking import SeededPick

SEEDS = range(60)


def answers(of: Setting, seed: int, count: int) -> Any:
    """Questions of a policy with their answers."""
    ask = Satisfier(of.checked)
    for asked in questions(of, seed, count):
        yield asked, ask.satisfy([Want(test, wanted) for test, wanted in wanted_of(asked)])


def reads_ceiling(asked: Asked) -> bool:
    return any(read.name in ("ceiling", "remaining") for rule, _ in asked for read in reads(rule.condition))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_found_holds_and_what_is_excluded_is_not_found_by_trying(seed: int) -> None:
    of = setting(seed)
    for asked, answer in answers(of, seed, 12):
        wants = wanted_of(asked)
        if isinstance(answer, Witness):
            values = {read.name: value for read, value in answer.values.items()}
            assert [truth(test, values) for test, _ in wants] == [wanted for _, wanted in wants]
        elif isinstance(answer, Impossible) and not reads_ceiling(asked):
            for world in grid(of.checked, [test for test, _ in wants], most=400, seed=seed):
                assert any(truth(test, world) is not wanted for test, wanted in wants), world


@pytest.mark.parametrize("seed", SEEDS)
def test_values_of_a_witness_are_of_their_unit(seed: int) -> None:
    of = setting(seed)
    for _, answer in answers(of, seed, 12):
        for read, value in answer.values.items() if isinstance(answer, Witness) else ():
            if isinstance(value, int | Fraction) and not isinstance(value, bool):
                fact = of.checked.facts.get(read.name)
                assert fact is None or fact.low is None or fact.low <= value
                assert fact is None or fact.high is None or value <= fact.high
                whole = read.unit.value in ("money", "duration", "integer")
                assert isinstance(value, int) if whole else Fraction(repr(float(value))) == value


@pytest.mark.parametrize("seed", SEEDS)
def test_facts_never_do_what_is_excluded(seed: int) -> None:
    """Random facts of real decision points; here `ceiling` is what the rules make it."""
    of = setting(seed)
    ask = Satisfier(of.checked)
    never = [
        (rule, wanted)
        for rule in of.rules
        for wanted in (True, False, None)
        if rule.condition is not None and isinstance(ask.satisfy([Want(rule.condition, wanted)]), Impossible)
    ]
    for point, facts in drawn(of, seed, 150):
        view = view_of(of.checked, point, facts)
        for rule, wanted in never:
            if point in rule.points and not counters_out_of_order(of.checked, rule, view):
                assert view.holds(rule) is not wanted, (rule.ref, wanted, facts)


@pytest.mark.parametrize("seed", SEEDS)
def test_completed_facts_are_taken_and_do_it(seed: int) -> None:
    of = setting(seed)
    ask = Satisfier(of.checked)
    seen = 0
    for rule in of.rules:
        assert rule.condition is not None
        for wanted in (True, False, None):
            answer = ask.satisfy([Want(rule.condition, wanted)])
            if not isinstance(answer, Witness):
                continue
            for point in sorted(rule.points):
                entries = complete(of.policy, answer, point)
                assert entries is not None, (rule.ref, wanted, answer)
                facts: Any = of.policy.facts(point, entries)
                if point is Point.ADMIT and facts.lane is None:
                    facts.lane = of.checked.outcomes[facts.outcome].lanes[0]
                view = view_of(of.checked, point, facts)
                names = {read.name for read in answer.values}
                if "estimate" in names and view.estimate_nanos is None:
                    continue  # the route's price says what it is
                seen += 1
                assert view.holds(rule) is wanted, (rule.ref, wanted, entries)
    assert seen or not of.rules


@pytest.mark.parametrize("seed", SEEDS)
def test_ordinary_facts_are_taken_everywhere(seed: int) -> None:
    of = setting(seed)
    for outcome, plan, point in product(of.checked.outcomes, (None, *of.checked.plans), Point):
        fixed = {"outcome": outcome} if point is Point.SETTLE else {"outcome": outcome, "plan": plan}
        served = any(place["outcome"] == outcome for place in all_places(of.checked))
        entries = complete(of.policy, Witness({}), point, **fixed)
        assert (entries is not None) is served
        if entries is not None:
            replay(of.policy, point, entries)


@pytest.mark.parametrize("seeds", [range(start, start + 5) for start in range(0, 25, 5)])
def test_flips_are_seen_by_every_engine(seeds: range) -> None:
    assert sum(map(flips_seen, seeds)) >= 3


def flips_seen(seed: int) -> int:
    """How many flips were shown for a policy, every one of them checked."""
    of = setting(seed)
    compiled = load(of.text, engine="compiled")
    pick = SeededPick(seed)
    shown = 0
    for outcome in of.checked.outcomes:
        point = pick.of((Point.ADMIT, Point.ATTEMPT, Point.PROGRESS, Point.FAILURE))
        entries = complete(of.policy, Witness({}), point, outcome=outcome)
        assert entries is not None
        now = replay(of.policy, point, entries)
        for flip in flips(of.policy, point, entries, limit=6):
            shown += 1
            decision = replay(compiled, point, flip.facts)
            assert answer_of(decision) == answer_of(flip.decision) != answer_of(now)
            changed = [name for name in {*entries, *flip.facts} if entries.get(name) != flip.facts.get(name)]
            assert len(changed) <= 2  # the entry itself; a counter may stand beside what is reserved of it
            assert len(flip.changes) == 1
    return shown


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_is_generated_is_left_open(seed: int) -> None:
    of = setting(seed)
    for asked, answer in answers(of, seed, 12):
        assert not isinstance(answer, Undecided), (asked, answer)


@pytest.mark.parametrize("seed", range(25))
def test_z3_agrees(seed: int) -> None:
    pytest.importorskip("z3", reason="z3 is the extra `prove`")
    of = setting(seed)
    ask = Satisfier(of.checked)
    bits = {True: 1, False: 2, None: 4}
    for asked in questions(of, seed, 6):
        question = ask._question([(test, bits[wanted]) for test, wanted in wanted_of(asked)], {}, False)
        assert question is not None
        own, other = ask._splitter.answer(question), prove(question, ask._world, Undecided("to compare"))
        if not isinstance(own, Undecided) and not isinstance(other, Undecided):
            assert type(own) is type(other), asked

"""The promises, over generated policies and facts: stricter never frees, less known never frees, every step ends.

`POLICY_ENGINE_EXAMPLES=20` asks for twenty times as many examples, fresh ones.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from policy_engine.evaluation.decision import AttemptDecision, Decision
from policy_engine.evaluation.facts import (
    AdmitFacts,
    AttemptFacts,
    FactError,
    FailureFacts,
    ProgressFacts,
    Reading,
    given_type,
)
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, CheckedPolicy, Meter, RetryRule, Rules, reads
from policy_engine.policy import Policy, load
from tests.generators import Asking, Case, Shape, examples, extra_rule, loaded, policies
from tests.generators.picking import Pick
from tests.generators.rules import Kinds

UNMETERED = Shape(kinds=Kinds(counters=False))
"""No condition reads a meter, `spent`, `remaining` or `ceiling`: where stricter is never looser."""

KNOWN_STORE = Shape(escrow="never")
"""No `on store failure allow`, the one written exception to "unknown is never permission"."""


def asking(case: Case, **more: bool) -> Asking:
    return Asking(case.pick, case.policy, case.text, **more)


def eligible(policy: Policy, facts: AdmitFacts) -> set[str]:
    """The lanes that let this execution in, each asked for by itself."""
    found = set()
    for lane in policy.checked.lanes:
        try:
            if policy.admit(replace(facts, lane=lane)).effect == "allow":
                found.add(lane)
        except FactError:
            pass
    return found


def grants_no_more(stricter: AttemptDecision | None, before: AttemptDecision) -> bool:
    """Whether every amount of a go is at most what it was."""
    if stricter is None or stricter.effect != "go":
        return True
    tokens = stricter.reserved_tokens  # None where they are unknown and no ceiling counts them
    pairs = [
        (before.reserved_tokens if tokens is None else tokens, before.reserved_tokens),
        (stricter.reserved_nanos, before.reserved_nanos),
        (stricter.output_cap, before.output_cap),
        (stricter.deadline_micros, before.deadline_micros),
    ]
    return before.effect == "go" and all(old is None or (new is not None and new <= old) for new, old in pairs)


def answer(policy: Policy, point: str, facts: Any) -> Any:
    """The decision, None where a fact that a rule reads was not given."""
    try:
        return getattr(policy, point)(facts)
    except FactError:
        return None


# ---------------------------------------------------------------- (a) stricter never turns a refusal into a go


@examples(200)
@given(policies(UNMETERED), st.sampled_from(("ceiling", "forbid", "limit", "margin")))
def test_a_further_rule_opens_no_lane(case: Case, kind: str) -> None:
    facts = asking(case).admit()
    place, rule = extra_rule(case, kind, UNMETERED.kinds)
    stricter = loaded(case.draft.with_rule(place, rule).text)
    assert eligible(stricter, facts) <= eligible(case.policy, facts), (place, rule)


@examples(200)
@given(policies(UNMETERED), st.sampled_from(("ceiling", "margin")))
def test_a_further_ceiling_frees_no_attempt(case: Case, kind: str) -> None:
    ask = asking(case)
    attempt, progress = ask.attempt(), ask.progress()
    place, rule = extra_rule(case, kind, UNMETERED.kinds)
    stricter = loaded(case.draft.with_rule(place, rule).text)
    assert grants_no_more(answer(stricter, "attempt", attempt), case.policy.attempt(attempt)), (place, rule)
    after = answer(stricter, "progress", progress)
    assert after is None or after.effect == "cut" or case.policy.progress(progress).effect == "go", (place, rule)


@examples(200)
@given(policies(UNMETERED))
def test_more_spend_frees_nothing(case: Case) -> None:
    ask, policy = asking(case), case.policy
    admit, attempt, progress = ask.admit(), ask.attempt(), ask.progress()
    fixed = {ATTEMPTS} if reads_attempts(policy.checked) else set()

    assert eligible(policy, spent_more(admit, case.pick, fixed)) <= eligible(policy, admit)
    assert grants_no_more(policy.attempt(spent_more(attempt, case.pick, fixed)), policy.attempt(attempt))
    after = policy.progress(spent_more(progress, case.pick, fixed))
    assert after.effect == "cut" or policy.progress(progress).effect == "go"


def reads_attempts(policy: CheckedPolicy) -> bool:
    """Whether a condition reads `attempts`, which counts attempts, not spend."""
    return any(read.name == "attempts" for rule in policy.every_rule() for read in reads(rule.condition))


def spent_more(facts: Any, pick: Pick, fixed: set[Meter]) -> Any:
    """The same facts on a ledger where some counters hold more."""
    meters = {
        meter: reading
        if reading is None or meter in fixed
        else Reading(reading.settled + pick.of((0, 1, 10**7, 10**9)), reading.reserved + pick.of((0, 1)))
        for meter, reading in facts.meters.items()
    }
    escrow = None if facts.escrow is None else Reading(facts.escrow.settled + pick.of((0, 1, 10**8)))
    return replace(facts, meters=meters, escrow=escrow)


@examples(200)
@given(policies(Shape(kinds=Kinds(counters=False, entries=False), most_rules=3)))
def test_a_further_retry_frees_no_error_that_an_unconditional_one_caps(case: Case) -> None:
    facts = asking(case).failure()
    place, rule = extra_rule(case, "retry", UNMETERED.kinds)
    capped = any(r.condition is None and facts.error in r.classes for r in retries_at(case.policy.checked, facts))
    before, after = case.policy.failure(facts), answer(loaded(case.draft.with_rule(place, rule).text), "failure", facts)
    if after is not None and after.effect == "retry" and capped:
        assert before.effect == "retry", (place, rule)
        assert before.delay_micros is not None
        assert after.delay_micros >= before.delay_micros, (place, rule)
    if after is not None and after.effect != "retry" and before.effect != "retry":
        assert after.effect == before.effect
        assert after.route == before.route


def retries_at(policy: CheckedPolicy, facts: FailureFacts) -> list[RetryRule]:
    return [rule for rules in stack(policy, facts) for rule in rules.retries]


def stack(policy: CheckedPolicy, facts: AttemptFacts | ProgressFacts | FailureFacts) -> tuple[Rules, ...]:
    """Every block that governs an attempt."""
    around = policy.around(facts.outcome, facts.plan)
    return (*around, policy.lanes[facts.lane].rules, policy.routes[facts.route].rules)


# ---------------------------------------------------------------- (b) less known never frees


@examples(200)
@given(policies(KNOWN_STORE))
def test_knowing_less_opens_no_lane(case: Case) -> None:
    facts = asking(case).admit()
    less = forgotten(facts, case.policy.checked, case.pick)
    assert eligible(case.policy, less) <= eligible(case.policy, facts)


@examples(200)
@given(policies(KNOWN_STORE))
def test_what_goes_unknown_goes_whatever_the_unknown_is(case: Case) -> None:
    """Stronger than the promise: where the unknown does not stop an attempt, no value of it would."""
    facts = asking(case).attempt()
    less = forgotten(facts, case.policy.checked, case.pick)
    assert grants_no_more(case.policy.attempt(less), case.policy.attempt(facts))


@examples(200)
@given(policies(Shape(kinds=Kinds(counters=False), escrow="always")))
def test_escrow_admits_no_attempt_that_an_empty_store_would_refuse(case: Case) -> None:
    """Under `on store failure allow`, a silent counter may be taken for an empty one, never for less."""
    facts = asking(case).attempt()
    silent = replace(facts, meters={meter: None if meter.scope.window else r for meter, r in facts.meters.items()})
    empty = replace(facts, meters={meter: r or Reading() for meter, r in silent.meters.items()})
    went = case.policy.attempt(silent)
    assert grants_no_more(went, case.policy.attempt(empty))
    within = case.policy.checked.escrow_nanos
    if went.effect != "go":
        return
    bounds = case.policy.evaluator.attempt_bounds(silent, went.reserved_nanos)
    if any(silent.meters.get(bound.meter) is None for bound in bounds):
        assert within is not None
        assert facts.escrow is not None
        assert went.reserved_nanos is not None
        assert facts.escrow.used + went.reserved_nanos <= within


def forgotten(facts: Any, policy: CheckedPolicy, pick: Pick) -> Any:
    """The same facts with some of what is known left unknown: optional facts, counters, grants, input tokens."""
    values = {name: getattr(facts.given, name) for name in policy.facts}
    for name, fact in policy.facts.items():
        if fact.optional and pick.number(1):
            values[name] = None
    meters: dict[Meter, Reading | None] = {}
    for meter, reading in facts.meters.items():
        form = pick.number(3)
        if form == 0 or meter in (SPENT, ATTEMPTS, TOKENS):
            meters[meter] = reading
        elif form == 1:
            meters[meter] = None
    less: dict[str, Any] = {"given": type(facts.given)(**values), "meters": meters}
    if isinstance(facts, AdmitFacts):
        less["grants"] = None if pick.one_in(4) else facts.grants
    elif pick.number(1):
        less["input_tokens"] = None
    return replace(facts, **less)


# ---------------------------------------------------------------- (c) every step ends


@examples(200)
@given(policies(Shape(kinds=Kinds(entries=False))))
def test_every_step_ends(case: Case) -> None:
    """However the errors come, and whatever the other facts say each time."""
    policy, ask = case.policy, asking(case)
    first = ask.failure(retries={})
    path = policy.checked.lanes[first.lane].path
    facts = replace(first, route=path[0], visited=(path[0],))
    bound = most_attempts(policy.checked, facts)
    attempts = 0
    while True:
        attempts += 1
        assert attempts <= bound
        fresh = ask.failure(**{name: getattr(facts, name) for name in ("outcome", "plan", "lane", "route", "visited")})
        facts = replace(fresh, retries=facts.retries)
        said = policy.failure(facts)
        if said.effect == "retry":
            counted = {**facts.retries, facts.error: facts.retries.get(facts.error, 0) + 1}
            facts = replace(facts, retries=counted)
        elif said.effect == "route":
            assert said.route is not None
            assert said.route not in facts.visited
            facts = replace(facts, route=said.route, visited=(*facts.visited, said.route), retries={})
        else:
            break


def most_attempts(policy: CheckedPolicy, facts: FailureFacts) -> int:
    """Routes x (1 + retries): every route with all the retries of the rules that govern it."""
    attempted = [name for name, route in policy.routes.items() if route.kind != "handoff"]
    return sum(1 + sum(rule.count for rule in retries_at(policy, replace(facts, route=route))) for route in attempted)


# ---------------------------------------------------------------- (d) what is granted fits


@examples(200)
@given(policies())
def test_what_a_go_reserves_fits_under_every_ceiling_of_its_own(case: Case) -> None:
    facts = asking(case).attempt()
    policy = case.policy
    said = policy.attempt(facts)
    if said.effect != "go":
        return
    reserved = {"spent": said.reserved_nanos, "tokens": said.reserved_tokens, "attempts": 1}
    for bound in policy.evaluator.attempt_bounds(facts, said.reserved_nanos):
        reading, asked = facts.meters.get(bound.meter), reserved[bound.meter.quantity]
        assert asked is not None
        if reading is not None:
            assert reading.used + asked <= bound.limit
        else:
            assert policy.checked.escrow_nanos is not None


# ---------------------------------------------------------------- what else holds of every decision

POINTS = ("admit", "attempt", "progress", "failure")


@examples(200)
@given(policies(), st.sampled_from(POINTS))
def test_a_shadow_rule_changes_no_effect(case: Case, point: str) -> None:
    facts = getattr(asking(case), point)()
    kind = case.pick.of(("ceiling", "allow", "forbid", "limit", "margin"))
    place, rule = extra_rule(case, kind, Kinds(), shadow=True)
    watched = loaded(case.draft.with_rule(place, rule).text)
    before, after = meaning(getattr(case.policy, point)(facts)), meaning(getattr(watched, point)(facts))
    for beside in ("shadow", "unknown"):  # what the shadow rule says, and what it would have had to know
        del before[beside], after[beside]
    assert after == before, (place, rule)


@examples(200)
@given(policies(), st.sampled_from(POINTS))
def test_order_changes_no_decision(case: Case, point: str) -> None:
    """Statements, blocks and files in any order; `fallback` rules among themselves as written."""
    facts = getattr(asking(case, missing=True), point)()
    other = loaded(case.draft.shuffled(case.pick.shuffled).text)
    # The records of facts are a policy's own: their order is that of its declarations.
    values = {name: getattr(facts.given, name) for name in other.checked.facts}
    again = replace(facts, given=given_type(tuple(other.checked.facts))(**values))
    before, after = answer(case.policy, point, facts), answer(other, point, again)
    assert (before is None) == (after is None)
    assert before is None or meaning(after) == meaning(before)


def meaning(decision: Decision) -> dict[str, Any]:
    """What a decision says, without places, digests, or the order in which rules are listed."""
    plain = decision.to_json()
    for name in ("policy_digest", "price_digest", "sentence"):
        del plain[name]
    for refused in plain.get("refused_lanes", ()):
        refused["rules"] = unplaced(refused["rules"])
    return {**plain, **{name: unplaced(plain[name]) for name in ("rules", "alerts", "shadow")}}


def unplaced(rules: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(str({k: v for k, v in rule.items() if k not in ("file", "line", "column")}) for rule in rules)


@examples(200)
@given(policies(), st.sampled_from(POINTS))
def test_equal_facts_give_equal_decisions_that_print_on_one_line(case: Case, point: str) -> None:
    ask = asking(case)
    facts = getattr(ask, point)()
    said = getattr(case.policy, point)(facts)
    again = load(case.text, engine="reference")
    assert getattr(again, point)(replace(facts)) == said
    assert "\n" not in str(said)
    assert json.loads(json.dumps(said.to_json())) == said.to_json()


@pytest.mark.parametrize("limits", ["limit 1 per day limit 5 per hour", "limit 5 per hour limit 1 per day"])
def test_a_reached_limit_hides_nothing_that_is_unknown(limits: str) -> None:
    """Whichever limit of a handoff is looked at first."""
    policy = load(
        f"""
        currency USD
        route flat {{ tool "flat"  cost $1 }}
        route desk {{ handoff "desk"  {limits} }}
        lane standard {{ flat -> desk }}
        workflow support {{ outcome draft {{ price $1  lanes standard  fallback next }} }}
        """
    )
    work = {"customer": "acme", "outcome": "draft", "lane": "standard", "route": "flat", "step": "write", "price": 1}
    said = policy.failure({**work, "error": "timeout", "meters": {"count of desk per day": 1}})
    assert (said.effect, said.unknown) == ("stop", ("count of desk per hour",))

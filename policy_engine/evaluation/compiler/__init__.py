"""The same meaning as the reference, specialised: generated functions, found by the names that a decision is about.

What is fixed for a decision (outcome, plan, lane, route, the customer where a rule names
one) chooses the function; rules that cannot apply are not in it, conditions on those names
are folded away, what is read is read once. Combinations that differ in numbers and rules alone
share the code (`shapes`). Everything that a function leaves out (unknown values, a denial with
all its reasons) is answered by another evaluator, made for the rules that can apply.

What is made is kept in bounded caches. Making a function costs as much as some hundred decisions of
the reference, so a combination gets one when it is asked for again, and takes another's
place only when it is asked for often. Looking one up is a plain dictionary read: no lock
and no write.
"""

from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from cachetools import FIFOCache

from policy_engine.evaluation.compiler import admission, attempts, failures, settlement
from policy_engine.evaluation.compiler.cache import Functions, Key
from policy_engine.evaluation.compiler.conditions import NotCompiled
from policy_engine.evaluation.compiler.dispatch import (
    Asking,
    Implied,
    followed,
    names_of_admission,
    names_of_attempts,
    names_of_failures,
    without_implied,
)
from policy_engine.evaluation.compiler.index import RuleIndex, Who
from policy_engine.evaluation.compiler.shapes import Made, Shapes, Written
from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    Digests,
    FailureDecision,
    ProgressDecision,
    SettleDecision,
)
from policy_engine.evaluation.evaluator import Bound, Evaluator
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, ProgressFacts, SettleFacts
from policy_engine.evaluation.guard import BoundTo, Guard, plain_guard
from policy_engine.language.checked import CheckedPolicy

CACHE_SIZE = 32_768
"""Combinations kept per policy and decision point; one takes some hundred bytes."""

SHAPES = 256
"""Shapes kept per policy and decision point; one takes some 20 kB."""

NARROWED = 128
"""Evaluators for what functions leave out, kept per policy."""

Narrowed = tuple[CheckedPolicy, Evaluator]


class CompiledEvaluator:
    """Implements `Evaluator`. What it leaves out is answered by `fallback`, made for the rules that can apply.

    `cache_size` bounds the combinations kept per decision point, `shapes` the code kept for them.
    """

    def __init__(
        self,
        policy: CheckedPolicy,
        digests: Digests,
        fallback: Callable[[CheckedPolicy, Digests], Evaluator],
        *,
        cache_size: int = CACHE_SIZE,
        shapes: int = SHAPES,
    ) -> None:
        self._policy = policy
        self._fallback = fallback
        self._digests = digests
        self._index = RuleIndex(policy)
        self._lock = Lock()
        self._narrowings: FIFOCache[tuple[Who, tuple[str, ...]], Narrowed] = FIFOCache(min(NARROWED, cache_size))
        index, sizes = self._index, (cache_size, shapes)
        admitted = frozenset[str]() if index.admits_any_customer else index.customers_of_admission
        of_admission, of_attempts, of_failures = (
            (customers, sizes, Lock())
            for customers in (admitted, index.customers_of_attempts, index.customers_of_failures)
        )
        admit_by = names_of_admission(policy, admitted), Implied()  # the lane may be left open
        attempt_by = without_implied(policy, names_of_attempts(policy, index.customers_of_attempts))
        failure_by = without_implied(policy, names_of_failures(policy, index.customers_of_failures))
        self._admit = Asking("admit", admit_by, *of_admission, self._write_admit, self._left_admit)
        self._attempt = Asking("attempt", attempt_by, *of_attempts, self._write_attempt, self._left_attempt)
        self._progress = Asking("progress", attempt_by, *of_attempts, self._write_progress, self._left_progress)
        self._failure = Asking("failure", failure_by, *of_failures, self._write_failure, self._left_failure)
        # Functions and not methods: binding a method costs as much as a rule.
        self.admit: Callable[[AdmitFacts], AdmitDecision] = self._admit.ask
        self.attempt: Callable[[AttemptFacts], AttemptDecision] = self._attempt.ask
        self.progress: Callable[[ProgressFacts], ProgressDecision] = self._progress.ask
        self.failure: Callable[[FailureFacts], FailureDecision] = self._failure.ask
        self.settle: Callable[[SettleFacts], SettleDecision] = settlement.settle(policy, digests)
        self._bound = Functions(cache_size, several=True)
        parameters = ["given", "price", "step", "slow"]
        self._bound_attempt, self._bound_progress = (
            Shapes("bind", attempt_by[0], parameters, shapes, implied=followed(attempt_by[1])) for _ in range(2)
        )

    def guard(self, to: BoundTo) -> Guard:
        """The functions of one route of one execution, with everything that is fixed worked out."""
        customer = self._named(to.customer, self._index.customers_of_attempts)
        key = (to.outcome, to.plan, to.lane, to.route, customer)
        try:
            bind, _ = self._bound.ready[to.outcome][to.plan][to.lane][to.route][1][customer]
        except KeyError:
            bind = self._make_binding(key, to)
        guard: Guard = bind(to)
        return guard

    # ------------------------------------------------------------ bounds, from the narrowed reference

    def admission_bounds(self, facts: AdmitFacts, lane: str, price_nanos: int) -> tuple[Bound, ...]:
        """The limits that an admission into this lane leans on."""
        who = self._who(facts.outcome, facts.plan, facts.customer)
        return self._narrowed(who, (lane,))[1].admission_bounds(facts, lane, price_nanos)

    def attempt_bounds(self, facts: AttemptFacts, estimate_nanos: int | None) -> tuple[Bound, ...]:
        """The ceilings that an attempt leans on, those without a counter left out."""
        who = self._who(facts.outcome, facts.plan, facts.customer, facts.lane, facts.route)
        return self._narrowed(who, (facts.lane,))[1].attempt_bounds(facts, estimate_nanos)

    def handoff_bounds(self, facts: FailureFacts, route: str) -> tuple[Bound, ...]:
        """The limits that a handoff leans on."""
        who = self._who(facts.outcome, facts.plan, facts.customer, facts.lane)
        return self._narrowed(who, (facts.lane,))[1].handoff_bounds(facts, route)

    # ------------------------------------------------------------ writing functions

    def _write_admit(self, facts: AdmitFacts, shapes: Shapes) -> Written:
        who, lanes = self._admitted(facts)
        if not set(lanes) <= set(self._policy.outcomes[facts.outcome].lanes):
            raise NotCompiled("lane_not_listed")
        return admission.admit(self._narrowed(who, lanes)[0], self._digests, who, lanes, shapes)

    def _write_attempt(self, facts: AttemptFacts, shapes: Shapes) -> Written:
        who = self._running(facts)
        narrowed = self._narrowed(who, (facts.lane,))[0]
        if narrowed.routes[facts.route].kind == "handoff":
            raise NotCompiled("handoff")
        return attempts.attempt(narrowed, self._digests, who, shapes)

    def _write_progress(self, facts: ProgressFacts, shapes: Shapes) -> Written:
        who = self._running(facts)
        return attempts.progress(self._narrowed(who, (facts.lane,))[0], self._digests, who, shapes)

    def _write_failure(self, facts: FailureFacts, shapes: Shapes) -> Written:
        who = self._failing(facts)
        return failures.failure(self._narrowed(who, (facts.lane,))[0], self._digests, who, facts.error, shapes)

    def _make_binding(self, key: Key, to: BoundTo) -> Callable[[BoundTo], Guard]:
        customer = self._named(to.customer, self._index.customers_of_attempts)
        who = self._who(to.outcome, to.plan, customer, to.lane, to.route)
        narrowed, fallback = self._narrowed(who, (to.lane,))
        if narrowed.routes[to.route].kind == "handoff":
            return lambda to: plain_guard(fallback, to)
        with self._lock:
            try:
                on_attempt, on_progress = (
                    shapes.made(write(narrowed, self._digests, who, shapes, bound=True))
                    for write, shapes in (
                        (attempts.attempt, self._bound_attempt),
                        (attempts.progress, self._bound_progress),
                    )
                )
            except NotCompiled:
                return lambda to: plain_guard(self, to)
            of_attempt, of_progress = self._bound_attempt.rows(on_attempt), self._bound_progress.rows(on_progress)

            def bind(to: BoundTo) -> Guard:
                # A fact that is not known leaves the whole guard to the fallback: the functions answer what is known.
                plain = plain_guard(self, to)
                attempt = on_attempt.call(to.given, to.price_nanos, to.step, plain.attempt, *of_attempt)
                progress = on_progress.call(to.given, to.price_nanos, to.step, plain.progress, *of_progress)
                return Guard(attempt or plain.attempt, progress or plain.progress)

            self._bound.keep(key, Made(bind, (), ()))
        return bind

    # ------------------------------------------------------------ what functions leave out

    def _left_admit(self, facts: AdmitFacts) -> AdmitDecision:
        return self._narrowed(*self._admitted(facts))[1].admit(facts)

    def _left_attempt(self, facts: AttemptFacts) -> AttemptDecision:
        return self._narrowed(self._running(facts), (facts.lane,))[1].attempt(facts)

    def _left_progress(self, facts: ProgressFacts) -> ProgressDecision:
        return self._narrowed(self._running(facts), (facts.lane,))[1].progress(facts)

    def _left_failure(self, facts: FailureFacts) -> FailureDecision:
        return self._narrowed(self._failing(facts), (facts.lane,))[1].failure(facts)

    # ------------------------------------------------------------ who it is about

    def _who(
        self, outcome: str, plan: str | None, customer: str | None, lane: str | None = None, route: str | None = None
    ) -> Who:
        workflow = self._policy.outcomes[outcome].workflow
        return Who(customer, plan, outcome, workflow, lane, route)

    def _admitted(self, facts: AdmitFacts) -> tuple[Who, tuple[str, ...]]:
        if self._index.admits_any_customer:
            who = replace(self._who(facts.outcome, facts.plan, None), any_customer=True)
        else:
            named = self._named(facts.customer, self._index.customers_of_admission)
            who = self._who(facts.outcome, facts.plan, named)
        return who, self._policy.outcomes[facts.outcome].lanes if facts.lane is None else (facts.lane,)

    def _running(self, facts: AttemptFacts | ProgressFacts) -> Who:
        customer = self._named(facts.customer, self._index.customers_of_attempts)
        return self._who(facts.outcome, facts.plan, customer, facts.lane, facts.route)

    def _failing(self, facts: FailureFacts) -> Who:
        customer = self._named(facts.customer, self._index.customers_of_failures)
        return self._who(facts.outcome, facts.plan, customer, facts.lane, facts.route)

    def _named(self, customer: str, named: frozenset[str]) -> str | None:
        """The customer, if some rule names it: all others are alike."""
        return customer if customer in named else None

    def _narrowed(self, who: Who, lanes: tuple[str, ...]) -> Narrowed:
        """The policy as far as it can concern these, and an evaluator of it."""
        with self._lock:
            found = self._narrowings.get((who, lanes))
        if found is None:
            narrowed = self._index.narrowed(who, lanes)
            found = narrowed, self._fallback(narrowed, self._digests)
            with self._lock:
                self._narrowings[who, lanes] = found
        return found

"""The same meaning as the reference, specialised: one generated function per combination of names.

What is fixed for a decision (outcome, plan, lane, route, the customer where a rule names
one) chooses the function; rules that cannot apply are not in it, conditions on those names
are folded away, what is read is read once. Everything that a function leaves out (unknown
values, a shrinking cap, a denial with all its reasons) it hands to another evaluator,
made for the rules that can apply.

Functions are kept in a bounded cache. Making one costs as much as some hundred decisions of
the reference, so a combination gets one when it is asked for again, and takes another's
place only when it is asked for often. Looking one up is a plain dictionary read: no lock
and no write.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any

from cachetools import FIFOCache

from policy_engine.evaluation.compiler import admission, attempts, failures, settlement
from policy_engine.evaluation.compiler.conditions import NotCompiled
from policy_engine.evaluation.compiler.dispatch import (
    asking,
    names_of_admission,
    names_of_attempts,
    names_of_failures,
)
from policy_engine.evaluation.compiler.index import RuleIndex, Who
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

CACHE_SIZE = 4096
"""Functions kept per policy and decision point; one takes some 10 kB."""

ASKED_AGAIN = 2
ASKED_OFTEN = 64
"""How often a combination is asked for before its function is made: while there is room, and when there is none."""

Function = Callable[[Any], Any]
Key = Any
"""The names that make a difference: one of them, or a tuple."""


class _Functions(FIFOCache[Key, Function]):
    """A bounded cache whose content is also a plain dictionary, `ready`: what decisions look up."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.ready: dict[Key, Function] = {}
        self._asked: dict[Key, int] = {}

    def is_worth_making(self, key: Key) -> bool:
        """Count one more request for what is not there; whether there were enough of them."""
        asked = self._asked.get(key, 0) + 1
        if asked >= (ASKED_AGAIN if self.currsize < self.maxsize else ASKED_OFTEN):
            self._asked.pop(key, None)
            return True
        if len(self._asked) >= 16 * self.maxsize:
            self._asked.clear()
        self._asked[key] = asked
        return False

    def __setitem__(self, key: Key, value: Function) -> None:
        super().__setitem__(key, value)
        self.ready[key] = value

    def popitem(self) -> tuple[Key, Function]:
        key, value = super().popitem()
        self.ready.pop(key, None)
        return key, value


class CompiledEvaluator:
    """Implements `Evaluator`. What it leaves out is answered by `fallback`, made for the rules that can apply.

    `cache_size` bounds the functions kept per decision point.
    """

    def __init__(
        self,
        policy: CheckedPolicy,
        digests: Digests,
        fallback: Callable[[CheckedPolicy, Digests], Evaluator],
        *,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        self._policy = policy
        self._fallback = fallback
        self._digests = digests
        self._index = RuleIndex(policy)
        self._lock = Lock()
        self._admit, self._attempt, self._progress, self._failure = (_Functions(cache_size) for _ in range(4))
        self._bound = _Functions(cache_size)
        index = self._index
        attempts_by = names_of_attempts(policy, index.customers_of_attempts)
        failures_by = names_of_failures(policy, index.customers_of_failures)
        admission_by = names_of_admission(policy, index.customers_of_admission)
        # Functions and not methods: binding a method costs as much as a rule.
        self.admit: Callable[[AdmitFacts], AdmitDecision] = asking(
            "admit", admission_by, self._admit.ready, self._make_admit, index.customers_of_admission
        )
        self.attempt: Callable[[AttemptFacts], AttemptDecision] = asking(
            "attempt", attempts_by, self._attempt.ready, self._make_attempt, index.customers_of_attempts
        )
        self.progress: Callable[[ProgressFacts], ProgressDecision] = asking(
            "progress", attempts_by, self._progress.ready, self._make_progress, index.customers_of_attempts
        )
        self.failure: Callable[[FailureFacts], FailureDecision] = asking(
            "failure", failures_by, self._failure.ready, self._make_failure, index.customers_of_failures
        )
        self.settle: Callable[[SettleFacts], SettleDecision] = settlement.settle(policy, digests)

    def guard(self, to: BoundTo) -> Guard:
        """The functions of one route of one execution, with everything that is fixed worked out."""
        customer = to.customer if to.customer in self._index.customers_of_attempts else None
        key = (to.outcome, to.plan, to.lane, to.route, customer)
        bind = self._bound.ready.get(key)
        if bind is None:
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

    # ------------------------------------------------------------ making functions

    def _who(
        self, outcome: str, plan: str | None, customer: str | None, lane: str | None = None, route: str | None = None
    ) -> Who:
        workflow = self._policy.outcomes[outcome].workflow
        return Who(customer, plan, outcome, workflow, lane, route)

    def _make_admit(self, key: Key, facts: AdmitFacts) -> Function:
        who = self._who(facts.outcome, facts.plan, self._named(facts.customer, self._index.customers_of_admission))
        listed = self._policy.outcomes[facts.outcome].lanes
        lanes = listed if facts.lane is None else (facts.lane,)
        narrowed, fallback = self._narrowed(who, lanes)

        def make() -> Function:
            if not set(lanes) <= set(listed):
                raise NotCompiled("lane_not_listed")
            return admission.admit(narrowed, self._digests, who, lanes, fallback.admit)

        return self._keep(self._admit, key, make, fallback.admit)

    def _make_attempt(self, key: Key, facts: AttemptFacts) -> Function:
        who = self._running(facts)
        narrowed, fallback = self._narrowed(who, (facts.lane,))

        def make() -> Function:
            if narrowed.routes[facts.route].kind == "handoff":
                raise NotCompiled("handoff")
            return attempts.attempt(narrowed, self._digests, who, fallback.attempt)

        return self._keep(self._attempt, key, make, fallback.attempt)

    def _make_progress(self, key: Key, facts: ProgressFacts) -> Function:
        who = self._running(facts)
        narrowed, fallback = self._narrowed(who, (facts.lane,))
        return self._keep(
            self._progress,
            key,
            lambda: attempts.progress(narrowed, self._digests, who, fallback.progress),
            fallback.progress,
        )

    def _make_failure(self, key: Key, facts: FailureFacts) -> Function:
        customer = self._named(facts.customer, self._index.customers_of_failures)
        who = self._who(facts.outcome, facts.plan, customer, facts.lane, facts.route)
        narrowed, fallback = self._narrowed(who, (facts.lane,))
        return self._keep(
            self._failure,
            key,
            lambda: failures.failure(narrowed, self._digests, who, facts.error, fallback.failure),
            fallback.failure,
        )

    def _make_binding(self, key: Key, to: BoundTo) -> Function:
        customer = self._named(to.customer, self._index.customers_of_attempts)
        who = self._who(to.outcome, to.plan, customer, to.lane, to.route)
        narrowed, fallback = self._narrowed(who, (to.lane,))
        if narrowed.routes[to.route].kind == "handoff":
            return lambda to: plain_guard(fallback, to)
        bind_attempt = attempts.attempt(narrowed, self._digests, who, fallback.attempt, bound=True)
        bind_progress = attempts.progress(narrowed, self._digests, who, fallback.progress, bound=True)

        def bind(to: BoundTo) -> Guard:
            # A fact that is not known leaves the whole guard to the fallback: the functions answer what is known.
            plain = plain_guard(fallback, to)
            attempt = bind_attempt(to.given, to.price_nanos, to.step, plain.attempt)
            progress = bind_progress(to.given, to.price_nanos, to.step, plain.progress)
            return Guard(attempt or plain.attempt, progress or plain.progress)

        with self._lock:
            self._bound[key] = bind
        return bind

    def _running(self, facts: AttemptFacts | ProgressFacts) -> Who:
        customer = self._named(facts.customer, self._index.customers_of_attempts)
        return self._who(facts.outcome, facts.plan, customer, facts.lane, facts.route)

    def _named(self, customer: str, named: frozenset[str]) -> str | None:
        """The customer, if some rule names it: all others are alike."""
        return customer if customer in named else None

    def _narrowed(self, who: Who, lanes: tuple[str, ...]) -> tuple[CheckedPolicy, Evaluator]:
        narrowed = self._index.narrowed(who, lanes)
        return narrowed, self._fallback(narrowed, self._digests)

    def _keep(self, cache: _Functions, key: Key, make: Callable[[], Function], slow: Function) -> Function:
        """Make a function and keep it; where there is nothing to compile, the reference is kept in its place."""
        with self._lock:
            if not cache.is_worth_making(key):
                return slow
        try:
            made = make()
        except NotCompiled:
            made = slow
        with self._lock:
            cache[key] = made
        return made

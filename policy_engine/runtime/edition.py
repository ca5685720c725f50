"""One policy set with one price table, as the engine uses it; and how a ledger keeps it.

An execution keeps the edition it began under, also when another process takes it over: the texts are stored once by
their digests and compiled again from there.
"""

import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

from policy_engine.evaluation.facts import MISSING, Given, slot_name
from policy_engine.evaluation.meters import every_meter, meters_of
from policy_engine.evaluation.reference.ceilings import limit_of
from policy_engine.language.checked import ATTEMPTS, SPENT, CeilingRule, LimitRule, Meter
from policy_engine.language.pricing import overage_meter
from policy_engine.language.source import Source
from policy_engine.ledger.protocol import Ledger, LedgerError
from policy_engine.policy import Policy, compile_sources
from policy_engine.prices.table import PriceTable

MOST_EDITIONS = 8
"""So many versions of a policy are kept ready."""

POLICY, PRICES, CURRENCY = "policy", "prices", "currency"


class Edition:
    """A policy, and what is worked out of it once."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.checked = policy.checked
        self.evaluator = policy.evaluator
        self.zone = policy.checked.timezone
        self.currency = policy.checked.currency
        self.digests = (policy.digest, policy.prices.digest)
        self.meters = every_meter(policy.checked)
        self.handoff_meters = tuple(meter for meter in self.meters if meter.block.kind == "route")
        self._bounding = self._rules_by_meter()
        self._at_admission: dict[tuple[str, str | None], tuple[Meter, ...]] = {}
        self._running: dict[tuple[str, str | None, str], tuple[Meter, ...]] = {}

    def meters_at_admission(self, outcome: str, plan: str | None) -> tuple[Meter, ...]:
        """What an admission may read: windows, by keys that are settled before there is a lane."""
        found = self._at_admission.get((outcome, plan))
        if found is None:
            blocks = [*self.checked.around(outcome, plan)]
            blocks += [self.checked.lanes[lane].rules for lane in self.checked.lanes]
            meters = dict.fromkeys(meters_of(rule for rules in blocks for rule in rules))
            if plan is not None:
                meters[overage_meter(self.checked.plans[plan])] = None
            found = tuple(meter for meter in meters if meter.scope.window and meter.scope.key not in ("lane", "route"))
            self._at_admission[outcome, plan] = found
        return found

    def meters_running(self, outcome: str, plan: str | None, lane: str) -> tuple[Meter, ...]:
        """What the points after admission may read."""
        found = self._running.get((outcome, plan, lane))
        if found is None:
            blocks = (
                *self.checked.around(outcome, plan),
                self.checked.lanes[lane].rules,
                *(self.checked.routes[route].rules for route in self.checked.routes),
            )
            found = tuple(dict.fromkeys((SPENT, ATTEMPTS, *meters_of(rule for rules in blocks for rule in rules))))
            self._running[outcome, plan, lane] = found
        return found

    def rule_of(self, meter: Meter, limit: int, price_nanos: int) -> str:
        """The place of the first rule that sets this limit on a meter."""
        for rule in self._bounding.get(meter, ()):
            if isinstance(rule, LimitRule):
                if rule.count == limit:
                    return rule.ref.place
            elif limit_of(rule, price_nanos) == limit:
                return rule.ref.place
        for plan in self.checked.plans.values():
            if plan.overage is not None and plan.overage.cap_nanos == limit and overage_meter(plan) == meter:
                return plan.overage.ref.place
        return ""

    def _rules_by_meter(self) -> Mapping[Meter, list[CeilingRule | LimitRule]]:
        found: dict[Meter, list[CeilingRule | LimitRule]] = {}
        for rule in self.checked.every_rule():
            if rule.shadow or not isinstance(rule, CeilingRule | LimitRule):
                continue
            if isinstance(rule, LimitRule) or (rule.quantity != "elapsed" and rule.scope.execution != "attempt"):
                found.setdefault(rule.meter, []).append(rule)
        return found

    # ------------------------------------------------------------ facts as a record keeps them

    def given_text(self, given: Given) -> str:
        """The declared facts as JSON; what was not given is left out."""
        values = {name: getattr(given, slot_name(place)) for place, name in enumerate(self.checked.facts)}
        return json.dumps({name: value for name, value in values.items() if value is not MISSING})

    def given_of(self, text: str) -> Given:
        """The facts of a record."""
        values: dict[str, Any] = json.loads(text)
        return self.policy.boundary.given(*[values.get(name, MISSING) for name in self.checked.facts])


class Editions:
    """The editions in use, by their digests; texts are kept in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[tuple[str, str], Edition] = {}
        self._stored: set[tuple[str, str]] = set()
        self._lock = Lock()

    def forked(self) -> None:
        """In a process that was forked off: a thread that held the lock is not here."""
        self._lock = Lock()

    def of(self, policy: Policy) -> Edition:
        """The edition of a policy."""
        digests = (policy.digest, policy.prices.digest)
        with self._lock:
            found = self._known.get(digests)
            if found is None:
                found = self._known[digests] = Edition(policy)
                while len(self._known) > MOST_EDITIONS:
                    del self._known[next(iter(self._known))]  # executions that still use it have it themselves
            return found

    def store(self, edition: Edition) -> None:
        """Keep its texts in the ledger, once. Raises `LedgerUnavailable`.

        And `LedgerError` for a policy in another currency: amounts of two would be added up to one.
        """
        if edition.digests in self._stored:
            return
        policy, prices = edition.digests
        with self._ledger.book() as book:
            others = {document.text for document in book.documents() if document.kind == CURRENCY} - {edition.currency}
        if others:
            raise LedgerError(
                f"this ledger counts in {others.pop()}, and the policy in {edition.currency}: give it one of its own"
            )
        self._ledger.keep(POLICY, policy, policy_text(edition.policy))
        self._ledger.keep(CURRENCY, policy, edition.currency)
        self._ledger.keep(PRICES, prices, edition.policy.prices.text)
        self._stored.add(edition.digests)

    def restore(self, policy_digest: str, price_digest: str) -> Edition:
        """The edition that an execution began under. Raises `LookupError` if its texts were not kept."""
        found = self._known.get((policy_digest, price_digest))
        if found is not None:
            return found
        policy, prices = self._ledger.kept(POLICY, policy_digest), self._ledger.kept(PRICES, price_digest)
        if policy is None or prices is None:
            raise LookupError(f"the ledger does not keep the policy {policy_digest[:12]} with its prices")
        return self.of(policy_of(policy, PriceTable.of_text(prices)))


def policy_text(policy: Policy) -> str:
    """The texts of a policy set with their names, as JSON: all that its digest covers, and its folders."""
    return json.dumps([[source.name, source.text] for source in policy.checked.sources])


def policy_of(text: str, prices: PriceTable) -> Policy:
    """The policy of a text that `policy_text` made. Raises `LookupError` if this version cannot read it any more."""
    sources = [Source(name, written) for name, written in json.loads(text)]
    checked, found = compile_sources(sources, prices)
    if checked is None:
        raise LookupError(f"a kept policy cannot be read any more: {found[0]}")
    return Policy(checked, prices, found)

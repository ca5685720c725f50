"""One sentence for each rule: what it asks of whom, under which condition, and when it tells."""

from collections.abc import Sequence

from policy_engine.analysis.explain import english
from policy_engine.analysis.explain.amounts import Price, limit_at
from policy_engine.analysis.explain.conditions import ConditionWords
from policy_engine.analysis.explain.standing import Standing
from policy_engine.language.checked import (
    AllowRule,
    CeilingRule,
    FallbackRule,
    ForbidRule,
    LimitRule,
    RetryRule,
    Rule,
)
from policy_engine.language.units import print_money, print_percent
from policy_engine.language.vocabulary import NEVER_RETRIED

ERRORS = {
    "timeout": "a timeout",
    "rate_limit": "a rate limit",
    "unavailable": "an outage",
    "connection": "a connection error",
    "server_error": "a server error",
    "invalid_output": "invalid output",
    "rejected": "a rejected result",
    "content_filter": "a content filter",
    "context_length": "too long an input",
    "tool_error": "a tool error",
    "bad_request": "a bad request",
    "auth": "an authentication error",
    "over_ceiling": "a ceiling in the way",
    "cancelled": "a cancellation",
}
_INSIDE = {"outcome": "An execution", "step": "A step", "attempt": "An attempt"}
_WORK = {
    "file": "All work",
    "workflow": "All work in workflow {}",
    "outcome": "All executions of {}",
    "plan": "All work on plan {}",
    "lane": "All work in lane {}",
    "route": "All attempts on route {}",
}
_ENTERED = {"file": "The policy", "outcome": "Outcome {}"}


class Sentences:
    """Says the rules that govern one outcome in one plan and lane, as far as these are fixed."""

    def __init__(self, standing: Standing, prices: Sequence[Price]) -> None:
        self._standing = standing
        self._policy = standing.policy
        self._prices = prices
        self._conditions = ConditionWords(standing.policy)

    def of(self, rule: Rule) -> str:
        """A whole sentence, with its full stop."""
        return f"{english.capital(self._of(rule))}."

    def _of(self, rule: Rule) -> str:
        match rule:
            case CeilingRule():
                return self._ceiling(rule) + self._tail(rule) + _alerts(rule)
            case LimitRule():
                return self._limit(rule) + self._tail(rule) + _alerts(rule)
            case AllowRule():
                return self._allow(rule)
            case ForbidRule():
                return self._forbid(rule)
            case RetryRule():
                return self._retry(rule) + self._tail(rule)
            case FallbackRule():
                return self._fallback(rule)
        raise TypeError(rule)

    # ------------------------------------------------------------ conditions

    def _clause(self, rule: Rule) -> str:
        left = self._standing.left_of(rule)
        return self._conditions.clause(left) if left is not None else ""

    def _tail(self, rule: Rule) -> str:
        """`, only in lane standard; an unknown region counts as EU`."""
        clause = self._clause(rule)
        return (f", {clause}" if clause else "") + self._unknown(rule)

    def _unknown(self, rule: Rule) -> str:
        left = self._standing.left_of(rule)
        if left is None:
            return ""
        strict, otherwise = True, "it applies"
        if isinstance(rule, AllowRule):
            strict, otherwise = False, "it lets nobody in"
        elif isinstance(rule, ForbidRule):
            otherwise = "it refuses"
        elif isinstance(rule, FallbackRule):
            strict = self._ends(rule.target)
            otherwise = "it matches" if strict else "it is passed over"
        elif isinstance(rule, RetryRule):
            said = self._conditions.unknown(left, strict=True, otherwise="")
            return "; where that is unknown, the reading counts that permits fewer" if said is not None else ""
        said = self._conditions.unknown(left, strict=strict, otherwise=otherwise)
        if said is not None and isinstance(rule, FallbackRule) and rule.target == "next" and self._may_hand_over():
            said += ", unless a handoff is next"
        return f"; {said}" if said is not None else ""

    def _where(self, rule: Rule) -> str:
        """` on plan trial`, where the block is not what the explanation is about anyway."""
        kind, name = rule.block.kind, rule.block.name
        if kind == "plan" and self._standing.plan is None:
            return f" on plan {name}"
        if kind == "lane" and self._standing.lane is None:
            return f" in lane {name}"
        return f" on route {name}" if kind == "route" else ""

    # ------------------------------------------------------------ ceilings and limits

    def _ceiling(self, rule: CeilingRule) -> str:
        scope = rule.scope
        where = self._where(rule)
        if scope.execution is None:
            if rule.block.kind == "route" and rule.quantity == "attempts":
                return f"Route {rule.block.name} takes at most {_counted(rule.limit or 0, 'attempt')} {scope}"
            subject = _WORK[rule.block.kind].format(rule.block.name)
            return f"{subject} {self._most(rule)} {scope}"
        subject = _INSIDE[scope.execution]
        if scope.execution == "attempt":
            return f"{subject}{where} {self._most(rule)}"
        said = f"{subject} {self._most(rule)}{where}"
        return f"{said}, waits between retries included" if rule.quantity == "elapsed" else said

    def _most(self, rule: CeilingRule) -> str:
        if rule.percent_of_price is not None:
            return self._share(rule)
        assert rule.limit is not None  # noqa: S101 - it is no share
        if rule.quantity == "spent":
            return f"may cost at most {self._money(rule.limit)}"
        if rule.quantity == "elapsed":
            return f"may take at most {english.duration(rule.limit)}"
        return (
            f"may {'make' if rule.quantity == 'attempts' else 'use'} at most {_counted(rule.limit, rule.quantity[:-1])}"
        )

    def _share(self, rule: CeilingRule) -> str:
        assert rule.percent_of_price is not None  # noqa: S101 - it is a share
        brings = "it brings in" if rule.scope.execution == "outcome" else "its execution brings in"
        said = f"may cost at most {print_percent(rule.percent_of_price)} of what {brings}"
        if rule.is_margin:
            said += f", for a margin of {print_percent(100 - rule.percent_of_price)}"
        at = [(self._money(limit_at(rule, price.nanos)), self.drawn(price)) for price in self._prices]
        return f"{said} ({', '.join(f'{amount} {draw}' for amount, draw in at)})" if at else said

    @staticmethod
    def drawn(price: Price) -> str:
        """What a price is brought in by."""
        return {
            "list": "at the list price",
            "included": "from the allowance",
            "overage": "beyond the allowance",
            "pack": f"from pack {price.pack}",
        }[price.draw]

    def _money(self, nanos: int) -> str:
        return print_money(nanos, self._policy.currency, grouping=True)

    def _limit(self, rule: LimitRule) -> str:
        kind, name = rule.block.kind, rule.block.name
        subject = _ENTERED.get(kind, f"{kind} {{}}").format(name)
        what = "handoff" if kind == "route" else "execution"
        return f"{subject} takes at most {_counted(rule.count, what)} {rule.scope}"

    # ------------------------------------------------------------ who may enter

    def _entered(self, rule: Rule) -> tuple[str, str, str]:
        """The subject, and how it reads when it is open and closed."""
        if rule.block.kind == "lane":
            return f"lane {rule.block.name}", "is open", "is closed"
        return f"an execution{self._where(rule)}", "is let in", "is refused"

    def _allow(self, rule: AllowRule) -> str:
        subject, is_open, is_closed = self._entered(rule)
        clause = self._clause(rule)
        block = [other for other in self._standing.rules if isinstance(other, AllowRule) and other.block == rule.block]
        if rule.condition is not None and not self._standing.can_apply(rule):
            asked = self._conditions.clause(rule.condition)
            if any(map(self._standing.can_apply, block)):
                return f"{subject} {is_open} {asked}, which cannot be here"
            only = "only " if asked.startswith("when") else ""
            here = f"on plan {self._standing.plan}" if self._standing.plan is not None else "here"
            return f"{subject} {is_closed} {here}: it {is_open} {only}{asked}"
        if not clause:
            return f"{subject} {is_open} whatever the facts"
        alone = [other for other in block if not other.shadow] == [rule]
        only = "only " if alone and clause.startswith("when") else ""
        also = "" if alone or block[0] is rule else "also "
        if not alone:
            clause = clause.removeprefix("only ")
        return f"{subject} {is_open.replace('is ', f'is {also}')} {only}{clause}{self._unknown(rule)}"

    def _forbid(self, rule: ForbidRule) -> str:
        subject, _, is_closed = self._entered(rule)
        clause = self._clause(rule).removeprefix("only ")
        return f"{subject} {is_closed} {clause or 'whatever the facts'}{self._unknown(rule)}"

    # ------------------------------------------------------------ failures

    def _retry(self, rule: RetryRule) -> str:
        after = self.errors(rule)
        route = self._where(rule)
        place = route if rule.block.kind == "route" else f" on each route{route}"
        if rule.count == 0:
            return f"A step is not retried{route} after {after}"
        said = f"A step is retried at most {english.times(rule.count)}{place} after {after}"
        if rule.first_micros == 0:
            return f"{said}, without a wait"
        first = english.duration(rule.first_micros)
        if rule.longest_micros is None or rule.longest_micros == rule.first_micros or rule.count == 1:
            return f"{said}, with a wait of {first}"
        longest = english.duration(rule.longest_micros)
        return f"{said}, with a wait of {first} that doubles up to {longest}"

    def _fallback(self, rule: FallbackRule) -> str:
        clause = self._clause(rule)
        every = rule.classes == frozenset(self._policy.error_classes) - {"cancelled"}
        where = self._where(rule)
        after = [] if every and clause and not where else [f"after {self.errors(rule)}{where}"]
        parts = [*after, *([clause] if clause else [])]
        return f"{', '.join(parts)}: {self._target(rule.target)}{self._unknown(rule)}"

    def _target(self, target: str) -> str:
        if target == "next":
            return "go on to the next route of the lane"
        if target == "stop":
            return "stop"
        if self._policy.routes[target].kind == "handoff":
            return f"hand over to {target}"
        return f"go to {target}"

    def _ends(self, target: str) -> bool:
        return target == "stop" or (target != "next" and self._policy.routes[target].kind == "handoff")

    def _may_hand_over(self) -> bool:
        paths = [self._policy.lanes[lane].path for lane in self._standing.lanes]
        return any(self._policy.routes[path[-1]].kind == "handoff" for path in paths)

    def errors(self, rule: RetryRule | FallbackRule) -> str:
        """The classes of a rule in words."""
        every = frozenset(self._policy.error_classes)
        if isinstance(rule, RetryRule) and rule.classes == every - frozenset(NEVER_RETRIED):
            return "any error that may be retried"
        if rule.classes == every - {"cancelled"}:
            return "any failure"
        named = [name for name in self._policy.error_classes if name in rule.classes]
        return english.listed([ERRORS.get(name, name) for name in named], "or")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _alerts(rule: CeilingRule | LimitRule) -> str:
    if not rule.alerts:
        return ""
    return f"; alert at {english.listed([print_percent(alert) for alert in rule.alerts])}"

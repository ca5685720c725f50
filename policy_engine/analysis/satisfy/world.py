"""What a policy says of its names before any condition does: which values there are, and which go together.

Respected: declared enums and ranges; money and counters are at least 0, `attempt` at least 1; `workflow` is
the outcome's, `lane` one that the outcome lists, `route` one that serves attempts and that the lane or a
fallback in force there leads to; `remaining` is at most `ceiling` less `spent`, and known where both are.
Of two counters, the one whose work is part of the other's is at most the other: a minute is part of its
hour, an hour of its day, a day of its week and of its month (weeks and months do not nest); a key's part of
all keys; a block's part of the file, an outcome's part of its workflow.

Left free, though an execution would tie them: `price` to plan and outcome, `spent` to `price` and to counters
over a window (an execution may outlive one), `attempt`, `attempts` and `failures` to each other; and `ceiling`
to its rules where there are too many (see `ceiling.py`). A witness may be a world that cannot be reached;
replaying it shows.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from policy_engine.analysis.satisfy.answers import Value
from policy_engine.analysis.satisfy.domains import WHOLE, Choices, Domain, Interval
from policy_engine.analysis.satisfy.rows import Row
from policy_engine.evaluation.reference.view import NO_PLAN
from policy_engine.evaluation.terms import exact
from policy_engine.language.checked import CheckedPolicy, Fact, Meter, Read, Rules
from policy_engine.language.vocabulary import BUILTINS, NUMERIC, Unit

STRUCTURE = ("outcome", "workflow", "lane", "route")
"""Names that say where in the policy an execution is; they go together."""

_NO_VALUES: frozenset[object] = frozenset()

_COUNTED = ("spent", "attempts")
"""Built-in names that are counters of the execution: unknown where the store is silent."""

_PART_OF = {
    "minute": {"minute", "hour", "day", "week", "month"},
    "hour": {"hour", "day", "week", "month"},
    "day": {"day", "week", "month"},
    "week": {"week"},
    "month": {"month"},
}

_LIKELY = 8
"""List prices that are tried for `price` before round amounts."""

_OTHERS = ("acme", "other", "another")
"""Texts for "any other than those that are named"."""


class World:
    """The names of one policy: their domains, and what ties them to each other."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy
        self._places = tuple(_places(policy))
        self._values: dict[str, tuple[object, ...]] = {
            name: tuple(dict.fromkeys(place[number] for place in self._places)) for number, name in enumerate(STRUCTURE)
        }
        self._places_of: tuple[dict[object, list[tuple[str, str, str, str]]], ...] = tuple({} for _ in STRUCTURE)
        for place in self._places:
            for index, value in zip(self._places_of, place, strict=True):
                index.setdefault(value, []).append(place)
        self._values["plan"] = (*policy.plans, NO_PLAN)
        self._values["error"] = policy.error_classes
        self._list_prices = tuple(dict.fromkeys(outcome.price_nanos for outcome in policy.outcomes.values()))[:_LIKELY]
        self._domains: dict[tuple[str, bool], Domain] = {}

    # ------------------------------------------------------------ one name

    def domain(self, read: Read, named: Iterable[str], *, known: bool) -> Domain:
        """Every value of a name. `named` are the texts that conditions compare it with."""
        if read.unit is Unit.TEXT:
            return _texts(named, self._may_be_unknown(read) and not known, empty=read.is_fact)
        key = read.name, known
        if key not in self._domains:
            self._domains[key] = self._domain(read, self._may_be_unknown(read) and not known)
        return self._domains[key]

    def _may_be_unknown(self, read: Read) -> bool:
        if read.is_fact:
            fact = self._policy.facts[read.name]
            return fact.optional and fact.default is None
        return read.meter is not None or BUILTINS[read.name].optional or read.name in _COUNTED

    def _domain(self, read: Read, unknown: bool) -> Domain:
        if read.unit in NUMERIC:
            low, high = self._range(read)
            likely = self._list_prices if read.name == "price" and not read.is_fact else ()
            return Interval(read.unit, low, high, unknown, likely=likely)
        if read.unit is Unit.BOOLEAN:
            values: tuple[object, ...] = (True, False)
        else:
            values = self._policy.facts[read.name].values if read.is_fact else self._values[read.name]
        return Choices(values, frozenset(values), unknown)

    def _range(self, read: Read) -> tuple[Fraction | int | None, Fraction | int | None]:
        if not read.is_fact:
            return {"remaining": None, "attempt": 1}.get(read.name, 0), None
        return _declared(self._policy.facts[read.name])

    def pinned(self, domain: Domain, read: Read, value: Value | float) -> Domain | None:
        """The domain with nothing left but a given value; None where it is not in there."""
        if isinstance(domain, Choices):
            if value is None and read.name == "plan" and not read.is_fact:
                value = NO_PLAN
            if read.unit is Unit.TEXT and isinstance(value, str) and value not in domain.every:
                domain = Choices((*domain.every, value), domain.left | {value}, domain.unknown)
            return domain.only(known=False) if value is None else domain.among(frozenset({value}), 1)
        if value is None:
            return domain.only(known=False)
        number = exact(value) if isinstance(value, float) else Fraction(value)  # type: ignore[arg-type]  # a number
        pinned = Interval(domain.unit, number, number, False)
        inside = (domain.low is None or domain.low <= number) and (domain.high is None or number <= domain.high)
        return pinned if inside and not (domain.whole and number.denominator != 1) else None

    # ------------------------------------------------------------ names together

    def values_of(self, name: str) -> tuple[object, ...]:
        """Every value of a name of the structure."""
        return self._values[name]

    def place(self, left: Mapping[str, frozenset[object]]) -> tuple[str, str, str, str] | None:
        """The first outcome, workflow, lane and route that go together; `left` are the values these may have."""
        allowed = [left.get(name) for name in STRUCTURE]
        for place in self._among(left):
            if all(values is None or value in values for value, values in zip(place, allowed, strict=True)):
                return place
        return None

    def _among(self, left: Mapping[str, frozenset[object]]) -> Iterable[tuple[str, str, str, str]]:
        """The places to look through, in declared order: those of one value, where a name has just one left.

        In a large policy that is a handful out of thousands.
        """
        found: Iterable[tuple[str, str, str, str]] = self._places
        fewest = len(self._places)
        for index, name in zip(self._places_of, STRUCTURE, strict=True):
            if len(values := left.get(name, _NO_VALUES)) == 1:
                (value,) = values
                here = index.get(value, [])
                if len(here) < fewest:
                    found, fewest = here, len(here)
        return found

    def places(self, left: Mapping[str, frozenset[object]], read: Iterable[str]) -> list[dict[str, str]]:
        """The values that these names of the structure have together, as far as others are among `left`."""
        names = tuple(read)
        found: dict[tuple[str, ...], None] = {}
        for place in self._among(left):
            named = dict(zip(STRUCTURE, place, strict=True))
            if all(named[name] in values for name, values in left.items()):
                found[tuple(named[name] for name in names)] = None
        return [dict(zip(names, values, strict=True)) for values in found]

    def order(self, reads: Iterable[Read]) -> Iterator[Row]:
        """What is known of the order of these counters, once they are known."""
        meters = [read for read in reads if read.meter is not None]
        for part in meters:
            for whole in meters:
                if part is not whole and part.meter and whole.meter and self._is_part(part.meter, whole.meter):
                    yield Row(((1, part.name), (-1, whole.name)), 0)

    def _is_part(self, part: Meter, whole: Meter) -> bool:
        windows = part.scope.window is not None and whole.scope.window in _PART_OF[part.scope.window]
        keys = whole.scope.key in (None, part.scope.key) or (part.scope.key, whole.scope.key) == ("outcome", "workflow")
        return part.quantity == whole.quantity and windows and keys and self._is_inside(part, whole)

    def _is_inside(self, part: Meter, whole: Meter) -> bool:
        if part.block == whole.block:
            return True
        if "route" in (part.block.kind, whole.block.kind) and part.quantity == "count":
            return False  # a handoff's are handoffs, all others are admissions
        if whole.block.kind == "file":
            return True
        nested = part.block.kind == "outcome" and whole.block.kind == "workflow"
        return nested and self._policy.outcomes[part.block.name].workflow == whole.block.name


def _places(policy: CheckedPolicy) -> Iterator[tuple[str, str, str, str]]:
    """Every outcome, workflow, lane and route that go together, in declared order."""
    for outcome in policy.outcomes.values():
        around = (policy.rules, policy.workflows[outcome.workflow].rules, outcome.rules)
        for name in outcome.lanes:
            lane = policy.lanes[name]
            reached = dict.fromkeys(
                (*lane.path, *(target for rules in (*around, lane.rules) for target in _targets(rules)))
            )
            for route in reached:
                if policy.routes[route].kind != "handoff":
                    yield outcome.name, outcome.workflow, name, route


def _targets(rules: Rules) -> Iterator[str]:
    return (rule.target for rule in rules.fallbacks if rule.target not in ("next", "stop"))


def _declared(fact: Fact) -> tuple[Fraction | int | None, Fraction | int | None]:
    low, high = fact.low, fact.high
    if fact.unit is Unit.DURATION:
        low = max(low, Fraction(0)) if low is not None else Fraction(0)
    if fact.unit in WHOLE:
        return None if low is None else int(low), None if high is None else int(high)
    return low, high


def _texts(named: Iterable[str], unknown: bool, *, empty: bool) -> Choices:
    """The texts that are named, and one that is not. Only a fact may be the empty text."""
    texts = tuple(text for text in dict.fromkeys(named) if text or empty)
    other = next((text for text in _OTHERS if text not in texts), "")
    while not other or other in texts:
        other += "x"
    values = (*texts, other)
    return Choices(values, frozenset(values), unknown)

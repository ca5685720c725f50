"""Conditions in words: `risk >= high or confidence < 0.5` is "risk is high or confidence is below 50%".

A condition is read as it was checked, after what is fixed has been folded away, so nothing is
said about a plan or a lane that is settled already. Amounts are exact.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from policy_engine.analysis.explain import english
from policy_engine.language.checked import (
    AllOf,
    AnyOf,
    CheckedPolicy,
    Inverse,
    Linear,
    Member,
    Meter,
    Read,
    Test,
    Truth,
    reads,
)
from policy_engine.language.units import plain_number, print_money, print_percent
from policy_engine.language.vocabulary import Unit

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "is": "is not"}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "is": "is", "is not": "is not"}
_COMPARED = {"<": "below", "<=": "at most", ">": "above", ">=": "at least", "is": "exactly", "is not": "not"}
_HOW_MUCH = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least", "is": "exactly"}

_STANDING = {"lane": "in lane", "plan": "on plan", "route": "on route", "workflow": "in workflow", "outcome": "for"}
"""How a rule's only condition on a name reads: `only in lane standard`."""

_SENTENCES = {
    "spent": "{} is spent",
    "attempts": "{} made",
    "failures": "{} of the step failed",
    "elapsed": "{} have passed",
    "input_tokens": "{} are sent",
    "remaining": "{} is left",
    "estimate": "the attempt may cost {}",
    "price": "it brings in {}",
}
"""Built-in names that read best as statements of their own."""

_PHRASES = {
    "price": "what it brings in",
    "spent": "what is spent",
    "estimate": "the estimate of the attempt",
    "remaining": "what is left of the ceiling",
    "ceiling": "the ceiling",
    "elapsed": "the time elapsed",
    "attempt": "the number of the attempt",
    "attempts": "the number of attempts made",
    "failures": "the number of failed attempts of the step",
    "input_tokens": "the number of tokens sent",
}
_COUNTED = {"attempts": "attempt", "failures": "attempt", "input_tokens": "token"}

_JOINED = re.compile(r" (?:and|or) (?!more\b|higher\b|lower\b)")
"""A statement that has joints of its own: commas tell them from those around it."""

_QUANTITIES = {"spent": "spend", "attempts": "attempts", "tokens": "tokens", "count": "admissions"}
_WITHIN = {
    "lane": "in lane",
    "workflow": "in workflow",
    "outcome": "on outcome",
    "plan": "on plan",
    "route": "on route",
}


class ConditionWords:
    """Words for the conditions of one policy."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy

    def clause(self, test: Test) -> str:
        """How a sentence goes on: `only in lane standard`, `except on plan trial`, `when risk is high`."""
        negative = isinstance(test, Inverse)
        part = test.part if isinstance(test, Inverse) else test
        if isinstance(part, Member) and not part.read.is_fact and part.read.name in _STANDING:
            standing = _STANDING[part.read.name]
            return f"{'except' if negative else 'only'} {standing} {english.listed(part.values, 'or')}"
        if negative and not isinstance(part, Inverse):
            return f"unless {self.said(part)}"
        return f"when {self.said(test)}"

    def said(self, test: Test) -> str:
        """The condition as a statement."""
        return self._said(test, True, None)

    def _said(self, test: Test, truth: bool, around: str | None) -> str:
        """The statement, or its opposite; `around` is the joint of the statement it is a part of."""
        if isinstance(test, Inverse):
            return self._said(test.part, not truth, around)
        if isinstance(test, AllOf | AnyOf):
            joint = "and" if isinstance(test, AllOf) is truth else "or"
            flat = self._flat(test, truth, joint)
            parts = [self._said(part, side, joint) for part, side in flat]
            mixed = any(map(_JOINED.search, parts))
            if around is None:
                return f", {joint} ".join(parts) if mixed else english.listed(parts, joint)
            # A statement in another one is held together by the word it begins with.
            comma = "," if mixed else ""
            return f"{'either' if joint == 'or' else 'both'} {f'{comma} {joint} '.join(parts)}"
        if isinstance(test, Truth):
            return english.flag(test.read.name, truth)
        if isinstance(test, Linear):
            return self._linear(test, test.op if truth else _OPPOSITE[test.op])
        return self._member(test.read, test.values, truth)

    def _flat(self, test: AllOf | AnyOf, truth: bool, joint: str) -> list[tuple[Test, bool]]:
        """The parts, and the parts of those parts that are joined the same way."""
        flat: list[tuple[Test, bool]] = []
        for part in test.parts:
            side = truth
            while isinstance(part, Inverse):
                part, side = part.part, not side  # noqa: PLW2901 - `not not x` is x
            same = isinstance(part, AllOf | AnyOf) and ("and" if isinstance(part, AllOf) is side else "or") == joint
            flat += self._flat(part, side, joint) if same and isinstance(part, AllOf | AnyOf) else [(part, side)]
        return flat

    # ------------------------------------------------------------ values

    def _member(self, read: Read, values: Sequence[str], truth: bool) -> str:
        subject = english.words(read.name) if read.is_fact else f"the {read.name}"
        fact = self._policy.facts.get(read.name) if read.is_fact else None
        if fact is not None and fact.ordered:
            held = [value for value in fact.values if (value in values) is truth]
            return f"{subject} {self._in_order(held, fact.values)}"
        shown = [self._value(read, value) for value in values]
        if truth:
            return f"{subject} is {english.listed(shown, 'or')}"
        if len(shown) == 1:
            return f"{subject} is not {shown[0]}"
        if len(shown) == 2:
            return f"{subject} is neither {shown[0]} nor {shown[1]}"
        return f"{subject} is none of {english.listed(shown)}"

    @staticmethod
    def _in_order(held: Sequence[str], every: Sequence[str]) -> str:
        """`is medium or higher` where the values run to an end of the order."""
        if 1 < len(held) < len(every):
            if len(held) > 2 and tuple(held) == tuple(every[-len(held) :]):
                return f"is {english.words(held[0])} or higher"
            if tuple(held) == tuple(every[:-1]):
                return f"is below {english.words(every[-1])}"
            if len(held) > 2 and tuple(held) == tuple(every[: len(held)]):
                return f"is {english.words(held[-1])} or lower"
        return f"is {english.listed([english.words(value) for value in held], 'or')}"

    @staticmethod
    def _value(read: Read, value: str) -> str:
        if read.unit is Unit.TEXT:
            return f'"{value}"'
        return english.words(value) if read.is_fact else value

    # ------------------------------------------------------------ numbers

    def _linear(self, test: Linear, op: str) -> str:
        left = [(factor, read) for factor, read in test.terms if factor > 0]
        right = [(-factor, read) for factor, read in test.terms if factor < 0]
        if len(left) == 1 and (not right or (len(right) == 1 and test.bound == 0)):
            factor, read = left[0]
            other, of = right[0] if right else (test.bound, None)
            if _terminates(other / factor):
                amount = other / factor
                said = self._value_in(read, amount) if of is None else self._share(amount, of)
                return self._statement(read, op, said, is_share=of is not None, one=of is None and amount == 1)
        bound = self._value_in(test.terms[0][1], abs(test.bound)) if test.bound else None
        here = [self._share(factor, read) for factor, read in left]
        there = [self._share(factor, read) for factor, read in right]
        if bound is not None:
            (here if test.bound < 0 else there).append(bound)
        if left and not there:
            there.append(self._value_in(test.terms[0][1], Fraction(0)))
        if not here:  # everything stands on the right
            here, there, op = there, here, _TURNED[op]
        return f"{' plus '.join(here)} is {_COMPARED[op]} {' plus '.join(there)}"

    def _statement(self, read: Read, op: str, amount: str, *, is_share: bool, one: bool) -> str:
        if read.meter is not None:
            verb = "is" if read.meter.quantity == "spent" else "are"
            return f"{self._meter(read.meter)} {verb} {_COMPARED[op]} {amount}"
        if (
            not read.is_fact
            and op in _HOW_MUCH
            and read.name in _SENTENCES
            and not (is_share and read.name in _COUNTED)
        ):
            return self._sentence(read.name, op, amount, one=one)
        phrase = self._phrase(read)
        counted = read.is_fact and read.unit is Unit.INTEGER and english.is_counted(phrase)
        if counted and op in _HOW_MUCH and not is_share:
            return f"there are {_how_many(op, amount)} {phrase}"
        return f"{phrase} {'are' if counted else 'is'} {_COMPARED[op]} {amount}"

    @staticmethod
    def _sentence(name: str, op: str, amount: str, *, one: bool) -> str:
        if name not in _COUNTED:
            return _SENTENCES[name].format(f"{_HOW_MUCH[op]} {amount}")
        noun = _COUNTED[name] if one and op != ">=" else _COUNTED[name] + "s"
        verb = "" if name != "attempts" else " was" if one and op != ">=" else " were"
        if name == "input_tokens" and one and op != ">=":
            return f"{_how_many(op, amount)} token is sent"
        return _SENTENCES[name].format(f"{_how_many(op, amount)} {noun}{verb}")

    def _value_in(self, read: Read, amount: Fraction) -> str:
        """An amount in the unit of what is compared with it."""
        if read.unit is Unit.MONEY:
            if amount.denominator == 1:
                return print_money(int(amount), self._policy.currency, grouping=True)
            return f"{plain_number(amount / 10**9)} {self._policy.currency}"
        if read.unit is Unit.DURATION and amount.denominator == 1:
            return english.duration(int(amount))
        if read.unit is Unit.PERCENT:
            return print_percent(amount)
        fact = self._policy.facts.get(read.name) if read.is_fact else None
        if fact is not None and fact.unit is Unit.NUMBER and fact.low == 0 and fact.high == 1:
            return print_percent(amount * 100)
        return f"{int(amount):,}" if amount.denominator == 1 else plain_number(amount)

    def _share(self, factor: Fraction, read: Read) -> str:
        """`50% of the ceiling`, `20 × files changed`."""
        phrase = self._phrase(read)
        if factor == 1:
            return phrase
        return f"{print_percent(factor * 100)} of {phrase}" if factor < 1 else f"{plain_number(factor)} × {phrase}"

    def _phrase(self, read: Read) -> str:
        if read.meter is not None:
            return self._meter(read.meter)
        return english.words(read.name) if read.is_fact else _PHRASES[read.name]

    def _meter(self, meter: Meter) -> str:
        """`spend in workflow support per customer per day`."""
        block = meter.block
        said = _QUANTITIES[meter.quantity]
        if meter.quantity == "count" and block.kind == "route":
            return f"handoffs to {block.name} {meter.scope}"
        return f"{said} {_WITHIN[block.kind]} {block.name} {meter.scope}" if block.name else f"{said} {meter.scope}"

    # ------------------------------------------------------------ what is not known

    def unknown(self, test: Test, *, strict: bool, otherwise: str) -> str | None:
        """What happens where an optional fact is unknown; None where no condition on one stands.

        `strict` is the truth value that an unknown condition is taken for, `otherwise` what that means
        for the rule, in words, where more than one name decides.
        """
        names = [english.words(read.name) for read in reads(test) if self._is_optional(read)]
        if not names:
            return None
        truth = strict
        while isinstance(test, Inverse):
            test, truth = test.part, not truth
        if isinstance(test, AllOf | AnyOf) or (isinstance(test, Linear) and len(test.terms) > 1):
            either = english.listed(list(dict.fromkeys(names)), "or")
            return f"where {either} is unknown and the rest does not decide, {otherwise}"
        if isinstance(test, Linear):
            amount = test.bound / test.terms[0][0]
            op = test.op if truth else _OPPOSITE[test.op]
            if not _terminates(amount):
                return f"where {names[0]} is unknown, {otherwise}"
            counts = f"{_COMPARED[op]} {self._value_in(test.terms[0][1], amount)}"
        elif isinstance(test, Truth):
            return f"where it is unknown, it counts as {'' if truth else 'not '}{names[0]}"
        else:
            counts = self._member(test.read, test.values, truth).split(" is ", 1)[1]
        return f"{english.article(f'unknown {names[0]}')} counts as {counts}"

    def _is_optional(self, read: Read) -> bool:
        return read.is_fact and self._policy.facts[read.name].optional


def _how_many(op: str, amount: str) -> str:
    if op == ">=":
        return f"{amount} or more"
    return f"{'fewer' if op == '<' else 'more' if op == '>' else _HOW_MUCH[op]}{' than' if op in '<>' else ''} {amount}"


def _terminates(value: Fraction) -> bool:
    """Whether a value has an end in decimal notation."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1

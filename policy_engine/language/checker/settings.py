"""One setting of a block → its value, wherever it stands."""

from collections.abc import Sequence
from typing import Any

from policy_engine.language import syntax as s
from policy_engine.language.checked import Overage
from policy_engine.language.checker.amounts import Amounts
from policy_engine.language.checker.findings import Findings
from policy_engine.language.checker.names import Names
from policy_engine.language.checker.refs import rule_ref
from policy_engine.language.mistakes import names as mistakes
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import PERIODS


class SettingChecker:
    """Every method gives the value of one setting, or None where a mistake in it was reported."""

    def __init__(self, findings: Findings, names: Names, amounts: Amounts) -> None:
        self._findings = findings
        self._names = names
        self._amounts = amounts

    def check(self, setting: s.Setting) -> Any:
        """The value of a setting: a text, nano units, microseconds, rates, a tuple or a mapping by outcome."""
        match setting:
            case s.Model():
                return setting.model.value
            case s.Tool():
                return setting.tool.value
            case s.Handoff():
                return setting.to.value
            case s.RatesSetting():
                return self._amounts.rates(setting)
            case s.Cost() | s.Price():
                return self._amounts.money(setting.amount)
            case s.Expires():
                hint = "leave it out if the units never expire"
                return self._amounts.positive_duration(setting.after, "an expiry", hint)
            case s.Accepted():
                hint = "leave `accepted` out: delivery is then acceptance"
                within = self._amounts.positive_duration(setting.within, "an acceptance window", hint)
                return (within, setting.else_expired) if within is not None else None
            case s.Lanes():
                return self.distinct(setting.names, "lane")
            case s.Fee():
                nanos, period = self._amounts.money(setting.amount), self._period(setting.period)
                return (nanos, period) if nanos is not None and period is not None else None
            case s.Includes():
                return self._includes(setting)
            case s.Overage():
                return self._overage(setting)

    def money(self, amount: s.Money) -> int | None:
        """Nano units."""
        return self._amounts.money(amount)

    @property
    def example_money(self) -> str:
        """An amount as it is written under the policy's currency."""
        return self._amounts.as_money("0.99")

    def distinct(self, names: Sequence[s.Name], kind: str) -> tuple[str, ...]:
        """The names of blocks of one kind, each once; reports repeated and unknown ones."""
        first: dict[str, Span] = {}
        for name in names:
            if name.text in first:
                self._findings.add(mistakes.repeated(name.span, first[name.text]))
            else:
                first[name.text] = name.span
                self._names.refer(name, kind)
        return tuple(first)

    def units(self, units: s.Units) -> int | None:
        """How many units of an outcome that there is."""
        count = self._amounts.count(units.count, "units")
        return count if self._names.refer(units.outcome, "outcome") else None

    def _period(self, name: s.Name) -> str | None:
        if name.text in PERIODS:
            return name.text
        self._findings.add(mistakes.unknown_period(name, self._findings.near(name.text, PERIODS)))
        return None

    def _includes(self, setting: s.Includes) -> dict[str, int]:
        self.distinct([units.outcome for units in setting.units], "outcome")
        counts = {units.outcome.text: self._amounts.count(units.count, "units") for units in setting.units}
        return {outcome: count for outcome, count in counts.items() if count is not None}

    def _overage(self, setting: s.Overage) -> Overage:
        self.distinct([price.outcome for price in setting.prices], "outcome")
        prices = {price.outcome.text: self._amounts.money(price.amount) for price in setting.prices}
        cap, period = None, None
        if setting.cap is not None:
            hint = "leave the overage out if none is meant to be sold"
            cap = self._amounts.positive_money(setting.cap.amount, "a cap", hint)
            period = self._period(setting.cap.period)
        return Overage(
            prices_nanos={outcome: nanos for outcome, nanos in prices.items() if nanos is not None},
            cap_nanos=cap,
            period=period,
            ref=rule_ref(setting.span),
        )

"""One decision in full, for people."""

from policy_engine.cli.render import Part, Screen
from policy_engine.cli.tables import Column, Table
from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    Decision,
    FailureDecision,
    Ruling,
    SettleDecision,
)
from policy_engine.language.units import print_money, print_percent, print_time


def show_decision(screen: Screen, decision: Decision) -> None:
    """The sentence, then what a program would read, then every rule with its numbers."""
    good = decision.permits
    screen.say((f"{decision.point}: {decision.effect}", "good" if good else "bad"))
    screen.say(str(decision))
    facts = Table([Column(role="title"), Column()], indent="  ")
    facts.rows += _facts(decision)
    if facts.rows:
        screen.say()
        facts.show(screen.say, screen.width)
    rules = Table(
        [
            Column("rule", wrapped=True),
            Column("says"),
            Column("limit", right=True),
            Column("used", right=True),
            Column("asked", right=True),
            Column("place", role="place"),
        ],
        indent="  ",
    )
    rules.rows += _rules(decision)
    if rules.rows:
        screen.say()
        rules.show(screen.say, screen.width)


def _facts(decision: Decision) -> list[tuple[Part, Part]]:
    rows: list[tuple[str, str | None]] = [("reason", decision.reason and decision.reason.replace("_", " "))]
    currency = decision.currency

    def money(nanos: int | None) -> str | None:
        return None if nanos is None else print_money(nanos, currency)

    def time(micros: int | None) -> str | None:
        return None if micros is None else print_time(micros)

    if isinstance(decision, AdmitDecision):
        draw = decision.draw
        rows += [("lane", decision.lane), ("first route", decision.route)]
        if draw is not None:
            rows.append(("drawn from", f"{draw.kind} {draw.grant}" if draw.grant else draw.kind))
            rows.append(("price", money(draw.price_nanos)))
        rows.append(("money ceiling", money(decision.ceiling_nanos)))
    elif isinstance(decision, AttemptDecision):
        rows.append(("reserved", money(decision.reserved_nanos)))
        rows.append(("reserved tokens", _count(decision.reserved_tokens)))
        rows.append(("output cap", _count(decision.output_cap)))
        rows.append(("time left", time(decision.deadline_micros)))
    elif isinstance(decision, FailureDecision):
        rows.append(("route", decision.route))
        rows.append(("delay", time(decision.delay_micros)))
    elif isinstance(decision, SettleDecision):
        rows.append(("unit", decision.unit))
        rows.append(("revenue", money(decision.revenue_nanos)))
        rows.append(("open for", time(decision.window_micros)))
    rows += [("not known", name) for name in decision.unknown]
    rows.append(("policy", decision.digests.policy[:12]))
    return [(name, value) for name, value in rows if value is not None]


def _rules(decision: Decision) -> list[tuple[Part, ...]]:
    rows = [_rule(decision, ruling, "decides") for ruling in decision.rulings]
    if isinstance(decision, AdmitDecision):
        rows += [
            _rule(decision, ruling, f"refuses {refusal.lane}")
            for refusal in decision.refused
            for ruling in refusal.rulings
        ]
    rows += [_rule(decision, alert.ruling, f"alert at {print_percent(alert.percent)}") for alert in decision.alerts]
    return rows + [
        _rule(decision, shadow.ruling, "would refuse" if shadow.refuses else "would permit")
        for shadow in decision.shadow
    ]


def _rule(decision: Decision, ruling: Ruling, says: str) -> tuple[Part, ...]:
    numbers = (_amount(decision, ruling, value) for value in (ruling.limit, ruling.used, ruling.asked))
    return (ruling.rule.name, says, *numbers, ruling.rule.place)


def _amount(decision: Decision, ruling: Ruling, value: int | None) -> str:
    if ruling.unit is None:
        return ""
    if value is None:
        return "" if ruling.unit == "time" else "unknown"
    if ruling.unit == "money":
        return print_money(value, decision.currency, grouping=True)
    return print_time(value) if ruling.unit == "time" else f"{value:,}"


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"

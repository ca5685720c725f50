"""Spend, refusals and what is left, as metrics."""

import gc
from pathlib import Path
from typing import Any

import pytest

from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.policy import LivePolicy
from policy_engine.runtime.engine import Engine
from policy_engine.telemetry.labels import PROVIDERS
from tests.building import BLOCKS, PRELUDE
from tests.telemetry.seeing import ASKS, Seen, delivered

pytestmark = pytest.mark.usefixtures("nothing_fails")


def test_metrics_of_a_delivery() -> None:
    seen = Seen()
    delivered(seen)
    assert seen.total("policy_engine.executions", state="accepted", outcome="draft") == 1
    assert seen.total("policy_engine.spend") == pytest.approx(0.48)
    assert seen.total("policy_engine.spend", route="mini", kind="attempt") == pytest.approx(0.48)
    assert seen.total("policy_engine.revenue") == pytest.approx(1.0)  # $100 for a hundred
    assert seen.total("policy_engine.attempts") == 2
    tokens = {p.attributes["gen_ai.token.type"]: (p.count, p.sum) for p in seen.points("gen_ai.client.token.usage")}
    assert tokens == {"input": (1, 100), "output": (1, 40)}
    durations = seen.points("gen_ai.client.operation.duration")
    assert sorted((p.attributes.get("error.type", ""), p.sum) for p in durations) == [("", 0.5), ("timeout", 0.5)]


def test_what_is_left_of_a_budget() -> None:
    seen = Seen()
    delivered(seen)
    delivered(seen, "bolt")
    (daily,) = seen.points("policy_engine.budget.remaining")
    assert daily.value == pytest.approx(10 - 2 * 0.48)
    assert daily.attributes["policy_engine.meter"] == "spent per day"
    assert daily.attributes["policy_engine.rule"] == "daily"
    seen = Seen(customers=True)
    delivered(seen)
    delivered(seen, "bolt")
    left = {p.attributes.get("policy_engine.key"): p.value for p in seen.points("policy_engine.budget.remaining")}
    assert left == {None: pytest.approx(9.04), "acme": pytest.approx(4.52), "bolt": pytest.approx(4.52)}


def test_a_new_window_replaces_the_old_one() -> None:
    seen = Seen()
    delivered(seen)
    seen.clock.sleep(24 * 3600 * 10**6)
    delivered(seen, "bolt")
    (daily,) = seen.points("policy_engine.budget.remaining")
    assert daily.value == pytest.approx(10 - 0.48)


def test_a_silent_ledger_says_no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    delivered(seen)

    def silent(*about: Any) -> Any:
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(seen.ledger, "readings", silent)
    assert seen.points("policy_engine.budget.remaining") == []


@pytest.mark.parametrize("customers", [False, True])
def test_customers_are_named_only_if_asked(customers: bool) -> None:
    seen = Seen(customers=customers)
    delivered(seen)
    named = ["policy_engine.customer" in point.attributes for point in seen.points("policy_engine.spend")]
    assert named == [customers] * len(named)


RULES = {"outcome": "retry 1 on timeout", "premium": "forbid"}


def left(seen: Seen) -> dict[tuple[str, str | None], float]:
    points = seen.points("policy_engine.budget.remaining")
    said = [(p.attributes["policy_engine.rule"], p.attributes.get("policy_engine.key")) for p in points]
    assert len(set(said)) == len(said)
    return {name: round(point.value, 9) for name, point in zip(said, points, strict=True)}


def test_every_ceiling_on_a_counter_is_told() -> None:
    seen = Seen(RULES | {"file": "ceiling $9 per day as wide  ceiling $5 per day when plan is base as narrow"})
    delivered(seen)
    delivered(seen, "bolt", plan=None)
    assert left(seen) == {("narrow", None): 5 - 0.96, ("wide", None): 9 - 0.96}


def test_keys_that_are_few_need_no_leave() -> None:
    seen = Seen(RULES | {"file": "ceiling $9 per outcome per day as each"})
    delivered(seen)
    assert left(seen) == {("each", "draft"): 9 - 0.48}


def test_a_new_window_is_whole_before_anybody_works_in_it() -> None:
    seen = Seen()
    delivered(seen)
    seen.clock.sleep(24 * 3600 * 10**6)
    assert left(seen) == {("daily", None): 10.0}


def test_a_ledger_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(RULES | {"file": "ceiling $9 per day as a  ceiling $9 per month as b"}, customers=True)
    delivered(seen)
    asked: list[int] = []
    was = seen.ledger.readings

    def readings(counters: Any) -> Any:
        asked.append(1)
        return was(counters)

    monkeypatch.setattr(seen.ledger, "readings", readings)
    assert len(left(seen)) == 2
    assert asked == [1]


def test_an_engine_that_is_gone_is_not_asked() -> None:
    seen = Seen()
    delivered(seen)
    assert left(seen)
    del seen.engine
    gc.collect()
    assert seen.points("policy_engine.budget.remaining") == []
    assert not seen.observer._budgets._met


def test_a_ceiling_that_is_gone_from_the_policy_is_not_told(tmp_path: Path) -> None:
    seen, file = Seen(), tmp_path / "a.policy"
    file.write_text(PRELUDE.format(**dict.fromkeys(BLOCKS, "") | RULES | {"file": "ceiling $9 per day as old"}))
    live = LivePolicy(file)
    seen.engine = Engine(live, ledger=seen.ledger, clock=seen.clock, observers=[seen.observer])
    delivered(seen)
    file.write_text("# a line\n" + file.read_text().replace("$9 per day as old", "$8 per day as new"))
    live.reload()
    delivered(seen, "bolt")
    assert left(seen) == {("new", None): 8 - 0.96}


def test_in_shadow_mode_refusals_are_told_from_those_that_refuse() -> None:
    seen = Seen({"outcome": "ceiling $0.01 per outcome as cap", "premium": "forbid"}, mode="shadow")
    with seen.engine.execution("draft", customer="acme", plan="other") as run:
        next(run.step("page 1 of 1000", **ASKS))
    assert seen.total("policy_engine.refusals", mode="enforce") == 0
    assert seen.total("policy_engine.refusals", mode="shadow", point="admit", reason="not_in_plan") == 1
    assert seen.total("policy_engine.refusals", mode="shadow", point="attempt", rule="cap") == 1
    assert all("policy_engine.step" not in point.attributes for point in seen.points("policy_engine.refusals"))


def test_a_tool_has_a_duration_of_its_own() -> None:
    seen = Seen({"outcome": "fallback web", "premium": "forbid"})
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                seen.clock.sleep(250_000)
                if attempt.route == "mini":
                    raise TimeoutError
    (tool,) = seen.points("gen_ai.execute_tool.duration")
    assert (tool.sum, dict(tool.attributes)) == (
        0.25,
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "web"},
    )
    (model,) = seen.points("gen_ai.client.operation.duration")
    assert model.attributes["gen_ai.provider.name"] == "openai"  # which the conventions require there


def test_providers_are_called_as_the_conventions_call_them() -> None:
    from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import GenAiProviderNameValues

    assert set(PROVIDERS.values()) <= {known.value for known in GenAiProviderNameValues}

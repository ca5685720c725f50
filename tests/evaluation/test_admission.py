"""`admit`: draws, lanes, limits."""

from fractions import Fraction
from typing import Any

import pytest

from policy_engine import FactError, load
from policy_engine.evaluation.decision import AdmitDecision
from tests.building import admission, deciding, policy

pytestmark = pytest.mark.usefixtures("each_engine")


def said(decision: AdmitDecision) -> tuple[str, str | None, str | None]:
    return decision.effect, decision.lane, decision.reason


ALLOWED = ("allow", "premium", None)
STANDARD = ("allow", "standard", None)


def denied(reason: str) -> tuple[str, None, str]:
    return ("deny", None, reason)


# ---------------------------------------------------------------- what it draws on


def grant(id: str, **changed: Any) -> dict[str, Any]:
    return {"id": id, "left": 1, "price": "1"} | changed


@pytest.mark.parametrize(
    ("grants", "first"),
    [
        ([grant("a"), grant("b", priority=-1)], "b"),
        ([grant("a"), grant("b", expires="2030-01-01T00:00:00+00:00")], "b"),  # soonest expiry; never is last
        (
            [
                grant("a", expires="2031-01-01T00:00:00+00:00"),
                grant("b", expires="2030-01-01T00:00:00+00:00"),
            ],
            "b",
        ),
        ([grant("a", kind="pack"), grant("b", kind="promotion")], "b"),  # promotional before paid
        (
            [grant("a", effective="2026-02-01T00:00:00+00:00"), grant("b", effective="2026-01-01T00:00:00+00:00")],
            "b",
        ),
        ([grant("a", created="2026-02-01T00:00:00+00:00"), grant("b", created="2026-01-01T00:00:00+00:00")], "b"),
        ([grant("a", priority=-9, left=0), grant("b")], "b"),  # spent ones are passed over
    ],
)
def test_burn_down_order(grants: list[dict[str, Any]], first: str) -> None:
    loaded = policy()
    for order in (grants, grants[::-1]):
        decision = loaded.admit(admission(loaded, grants=order))
        assert decision.draw is not None
        assert decision.draw.grant == first


@pytest.mark.parametrize(
    ("changed", "draw", "reason"),
    [
        ({}, ("allowance", 1_000_000_000), None),
        ({"grants": []}, ("overage", 2_000_000_000), None),
        ({"grants": [grant("g", left=0)]}, ("overage", 2_000_000_000), None),
        ({"plan": "pay", "grants": []}, ("overage", 2_000_000_000), None),
        ({"plan": "other", "grants": []}, None, "not_in_plan"),
        ({"plan": "other", "grants": [grant("p", left=0, kind="pack")]}, None, "allowance_spent"),
        ({"plan": "other", "grants": [grant("p", kind="pack")]}, ("pack", 1_000_000_000), None),
        ({"plan": "other", "outcome": "note", "grants": []}, None, "allowance_spent"),
        ({"plan": None, "grants": []}, ("list", 2_000_000_000), None),
        ({"plan": None}, ("allowance", 1_000_000_000), None),
        ({"grants": None}, None, "store_silent"),
    ],
)
def test_draw(changed: dict[str, Any], draw: tuple[str, int] | None, reason: str | None) -> None:
    loaded = policy()
    decision = loaded.admit(admission(loaded, **changed))
    assert decision.reason == reason
    assert (decision.draw and (decision.draw.kind, decision.draw.price_nanos)) == draw
    assert decision.effect == ("deny" if draw is None else "allow")
    assert ("grants" in decision.unknown) == (reason == "store_silent")


@pytest.mark.parametrize(
    ("billed", "effect"), [("8", "allow"), ("8.01", "deny"), ({"settled": 7, "reserved": 1}, "allow"), (None, "deny")]
)
def test_overage_cap(billed: Any, effect: str) -> None:
    loaded = policy(pay="up to $10 per month")
    meter = "overage of pay per customer per month"
    decision = loaded.admit(admission(loaded, plan="pay", grants=[], meters={meter: billed}))
    assert decision.effect == effect
    if effect == "deny" and billed is not None:
        assert decision.reason == "allowance_spent"
        assert deciding(decision)[0].startswith("overage $2 per draft up to $10")
    if billed is None:
        assert decision.reason == "store_silent"


def test_price_is_what_the_execution_brings_in() -> None:
    """A ceiling of the price follows the draw: $1 from the allowance, $2 as overage."""
    loaded = policy(outcome="margin at least 50%")
    assert loaded.admit(admission(loaded)).ceiling_nanos == 500_000_000
    assert loaded.admit(admission(loaded, grants=[])).ceiling_nanos == 1_000_000_000


def test_an_included_units_value() -> None:
    from policy_engine.language.pricing import included_price_nanos, lowest_price_nanos, pack_price_nanos

    page = load("tests/data/page.policy").checked
    prices = {
        name: included_price_nanos(page, page.plans[name], "support_draft") for name in ("base", "growth", "enterprise")
    }
    # fee x list / sum of list values: 199/300; 1490 x 0.99 / (2000 x 0.99 + 120 x 4); 6000/9000
    assert prices == {"base": 663_333_333, "growth": 599_634_146, "enterprise": 666_666_666}
    assert included_price_nanos(page, page.plans["growth"], "account_summary") == 2_422_764_227
    assert pack_price_nanos(page.packs["burst"]) == 650_000_000
    assert lowest_price_nanos(page, "support_draft", "growth") == 599_634_146
    assert lowest_price_nanos(page, "support_draft", None) == 650_000_000
    rich = load(
        'currency USD route r { tool "t" cost $1 } lane l { r } plan p { fee $1000 per month includes 10 o }\n'
        "workflow w { outcome o { price $2 lanes l } }"
    ).checked
    assert included_price_nanos(rich, rich.plans["p"], "o") == 2_000_000_000  # capped at list


# ---------------------------------------------------------------- who may enter


@pytest.mark.parametrize(
    ("rules", "changed", "expected"),
    [
        ({}, {}, ALLOWED),  # the first listed lane
        ({"premium": "allow when risk is high"}, {}, STANDARD),
        ({"premium": "allow when risk is high"}, {"risk": "high"}, ALLOWED),
        ({"premium": "allow when vip"}, {}, STANDARD),  # unknown is no permission
        ({"premium": "allow when vip"}, {"vip": True}, ALLOWED),
        ({"premium": "allow when vip allow when risk is high"}, {"risk": "high"}, ALLOWED),  # one of its own is enough
        ({"premium": "forbid when vip"}, {}, STANDARD),  # unknown forbids
        ({"premium": "forbid when vip"}, {"vip": False}, ALLOWED),
        ({"premium": "allow forbid when risk is high"}, {"risk": "high"}, STANDARD),  # forbid beats allow
        ({"premium": "forbid", "standard": "forbid"}, {}, denied("no_lane")),
        ({"premium": "forbid"}, {"lane": "premium"}, denied("forbidden")),  # that lane, or a denial
        ({"premium": "forbid"}, {"lane": "standard"}, STANDARD),
        ({}, {"lane": "premium", "outcome": "note", "plan": None}, denied("lane_not_listed")),
        ({"outcome": "forbid when risk is high"}, {"risk": "high"}, denied("forbidden")),
        ({"workflow": "allow when risk is low"}, {"risk": "high"}, denied("not_allowed")),
        ({"workflow": "allow when risk is low", "file": "allow"}, {"risk": "high"}, denied("not_allowed")),
        ({"file": 'forbid when customer is "acme"'}, {}, denied("forbidden")),
        ({"file": 'forbid when customer is not "acme"'}, {}, ALLOWED),
        ({"base": "forbid when size > 10"}, {"size": 11}, denied("forbidden")),
        ({"base": "forbid when size > 10"}, {"size": 11, "plan": None}, ALLOWED),
        ({"file": "forbid when plan in [base, pay]"}, {"plan": None}, ALLOWED),  # no plan is no unknown plan
        ({"file": "forbid when plan is not base"}, {"plan": None}, denied("forbidden")),
        ({"file": "forbid when price < $2"}, {}, denied("forbidden")),
        ({"file": "forbid when 2 * size + 3 > 20 + size"}, {"size": 17}, ALLOWED),
        ({"file": "forbid when 2 * size + 3 > 20 + size"}, {"size": 18}, denied("forbidden")),
        ({"file": "forbid when score >= 0.7 and not vip is true"}, {"score": 0.7, "vip": False}, denied("forbidden")),
        ({"file": "shadow forbid shadow allow when vip shadow limit 1 per day"}, {}, ALLOWED),
    ],
)
def test_allow_and_forbid(rules: dict[str, str], changed: dict[str, Any], expected: tuple[Any, ...]) -> None:
    loaded = policy(**rules)
    assert said(loaded.admit(admission(loaded, **changed))) == expected


@pytest.mark.parametrize(
    ("block", "meter", "expected"),
    [
        ("premium", "count of premium per customer per day", STANDARD),
        ("outcome", "count of draft per customer per day", denied("limit_reached")),
        ("workflow", "count of support per customer per day", denied("limit_reached")),
        ("base", "count of base per customer per day", denied("limit_reached")),
        ("file", "count per customer per day", denied("limit_reached")),
    ],
)
def test_limits(block: str, meter: str, expected: tuple[Any, ...]) -> None:
    loaded = policy(**{block: "limit 5 per customer per day"})
    assert said(loaded.admit(admission(loaded, meters={meter: 4}))) == ALLOWED
    assert said(loaded.admit(admission(loaded, meters={meter: 5}))) == expected
    assert said(loaded.admit(admission(loaded, meters={meter: {"settled": 3, "reserved": 2}}))) == expected
    assert said(loaded.admit(admission(loaded, meters={meter: None}))) == expected  # unknown counts as reached


def test_a_limit_with_a_condition_and_an_alert() -> None:
    loaded = policy(outcome="limit 5 per day when risk is high alert at 80%")
    used = {"count of draft per day": 5}
    assert said(loaded.admit(admission(loaded, meters=used))) == ALLOWED
    assert said(loaded.admit(admission(loaded, risk="high", meters=used))) == denied("limit_reached")
    fourth = loaded.admit(admission(loaded, risk="high", meters={"count of draft per day": 3}))
    assert [(a.ruling.used, a.ruling.limit, a.percent) for a in fourth.alerts] == [(3, 5, Fraction(80))]


@pytest.mark.parametrize(
    ("block", "rule", "meter", "used", "expected"),
    [
        ("file", "ceiling $10 per day", "spent per day", "9.99", ALLOWED),
        ("file", "ceiling $10 per day", "spent per day", "10", denied("ceiling_reached")),
        ("file", "ceiling $10 per day", "spent per day", None, denied("ceiling_reached")),
        ("premium", "ceiling $10 per day", "spent of premium per day", "10", STANDARD),
        ("file", "ceiling 3 attempts per hour when lane is premium", "attempts per hour", 3, STANDARD),
        ("mini", "ceiling $10 per day", "spent of mini per day", "10", ALLOWED),  # a route waits for the attempt
        ("file", "ceiling $10 per route per day", "spent per route per day", "10", ALLOWED),
        ("file", "ceiling $1 per day when estimate > $1", "spent per day", "10", ALLOWED),  # not known yet
        ("outcome", "ceiling $1 per outcome", "spent per outcome", "10", ALLOWED),  # nothing is asked of it yet
    ],
)
def test_window_ceilings_need_something_left(
    block: str, rule: str, meter: str, used: Any, expected: tuple[Any, ...]
) -> None:
    loaded = policy(**{block: rule})
    assert said(loaded.admit(admission(loaded, meters={meter: used}))) == expected


def test_a_denial_names_every_rule_that_refused() -> None:
    loaded = policy(
        file="forbid when risk is high as not_high limit 5 per day as few",
        outcome="allow when vip as only_vip",
    )
    decision = loaded.admit(admission(loaded, risk="high", meters={"count per day": 5}))
    assert said(decision) == denied("forbidden")
    assert deciding(decision) == ["not_high", "few", "only_vip"]
    assert decision.unknown == ("vip",)


def test_refused_lanes_come_with_their_rules() -> None:
    loaded = policy(premium="forbid when vip as no_vip", standard="allow when risk is high as high_only")
    decision = loaded.admit(admission(loaded, vip=True))
    assert [(r.lane, r.reason, [x.rule.name for x in r.rulings]) for r in decision.refused] == [
        ("premium", "forbidden", ["no_vip"]),
        ("standard", "not_allowed", ["high_only"]),
    ]
    assert deciding(decision) == ["high_only", "no_vip"]  # in written order
    assert "lane premium refused (forbidden: `no_vip`" in str(decision)
    entered = loaded.admit(admission(loaded, vip=True, risk="high"))
    assert (entered.lane, [r.lane for r in entered.refused]) == ("standard", ["premium"])
    assert deciding(entered) == ["high_only"]  # the allow that opened it


def test_the_answer_names_first_route_and_tightest_ceiling() -> None:
    loaded = policy(
        outcome="ceiling $0.70 per outcome when lane is standard ceiling $0.40 per outcome when lane is premium "
        "ceiling $0.10 per outcome when attempt > 3 shadow ceiling $0.01 per outcome",
        big="ceiling $0.05 per outcome",
    )
    premium = loaded.admit(admission(loaded))
    assert (premium.route, premium.ceiling_nanos) == ("big", 400_000_000)
    standard = loaded.admit(admission(loaded, lane="standard"))
    assert (standard.route, standard.ceiling_nanos) == ("mini", 700_000_000)
    assert policy().admit(admission(policy())).ceiling_nanos is None


def test_shadow_verdicts_at_admission() -> None:
    loaded = policy(
        file="shadow forbid when risk is high as f shadow allow when vip as a "
        "shadow limit 1 per day as l shadow ceiling $1 per day as c"
    )
    used = {"count per day": 1, "spent per day": 1}
    decision = loaded.admit(admission(loaded, risk="high", meters=used))
    assert decision.effect == "allow"
    assert {s.ruling.rule.name: s.refuses for s in decision.shadow} == {"f": True, "a": True, "l": True, "c": True}
    calm = loaded.admit(admission(loaded, vip=True))
    assert not any(s.refuses for s in calm.shadow)


@pytest.mark.parametrize(
    ("escrow", "expected"),
    [({"settled": "4.99"}, ALLOWED), ({"settled": "5"}, denied("store_silent")), (None, denied("store_silent"))],
)
def test_store_failure_allows_within_an_amount(escrow: Any, expected: tuple[Any, ...]) -> None:
    rules = "on store failure allow within $5 limit 1 per day ceiling $1 per day"
    loaded = policy(file=rules)
    silent = {"count per day": None, "spent per day": None}
    decision = loaded.admit(admission(loaded, grants=None, escrow=escrow, meters=silent))
    assert said(decision) == expected
    if expected == ALLOWED:
        assert decision.draw is not None
        # the strict side of the price: the least that it can turn out to bring in
        assert (decision.draw.kind, decision.draw.price_nanos) == ("escrow", 1_000_000_000)


# ---------------------------------------------------------------- facts that are not there


def test_a_required_fact_is_asked_for_only_where_a_rule_that_governs_reads_it() -> None:
    text = """
    currency USD
    fact tier: a | b
    route r { tool "t" cost $1 }
    lane l { r }
    lane m { r  allow when tier is a }
    workflow w { outcome o { price $2 lanes m }  outcome p { price $2 lanes l } }
    """
    loaded = load(text)
    asked = {"customer": "c", "grants": []}
    assert loaded.admit({**asked, "outcome": "p"}).effect == "allow"
    with pytest.raises(FactError, match="`tier` is not given") as caught:
        loaded.admit({**asked, "outcome": "o"})
    assert caught.value.name == "tier"
    # bad input, whatever else would refuse
    with pytest.raises(FactError):
        load(text.replace("lane m { r ", "lane m { r forbid ")).admit({**asked, "outcome": "o"})


@pytest.mark.parametrize(
    ("condition", "vip", "risk", "lane"),
    [
        # Kleene's logic, seen from a rule that needs to be certain: an `allow`
        ("vip or risk is high", None, "high", "premium"),  # unknown or true
        ("vip or risk is high", None, "low", "standard"),  # unknown or false
        ("not (vip or risk is high)", None, "low", "standard"),  # not unknown
        ("not (vip or risk is high)", False, "low", "premium"),
        ("vip and risk is high", None, "high", "standard"),  # true and unknown
        ("not (vip and risk is high)", None, "low", "premium"),  # false and unknown is false
        ("not (vip and risk is high)", None, "high", "standard"),
        ("not vip", None, "low", "standard"),
        ("not vip", False, "low", "premium"),
        ("vip is not true", None, "low", "standard"),
        ("not (not vip)", True, "low", "premium"),
    ],
)
def test_three_truth_values(condition: str, vip: bool | None, risk: str, lane: str) -> None:
    loaded = policy(premium=f"allow when {condition}")
    assert loaded.admit(admission(loaded, vip=vip, risk=risk)).lane == lane
    # and the other way round for a rule that applies unless it is certain not to
    forbidding = policy(premium=f"forbid unless {condition}")
    assert forbidding.admit(admission(forbidding, vip=vip, risk=risk)).lane == lane

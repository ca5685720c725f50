"""What a buyer is told: one sentence a plan, exact, and no word of how the work is done."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from markdown_it import MarkdownIt

import policy_engine
from policy_engine.analysis.explain import pages
from policy_engine.analysis.explain.buyer import Leaflet, Offer, leaflet
from policy_engine.analysis.explain.discretion import TRADE, Discretion
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.units import print_money
from tests.generators import Case, Shape, examples, loaded, policies

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PAGE = ROOT / "tests" / "data" / "page.policy"
SETS = [PAGE, *sorted(path.parent for path in (ROOT / "policies").glob("*/") for path in path.glob("*.policy"))]
EVERY_SET = [pytest.param(path, id=path.stem) for path in dict.fromkeys(SETS)]

PRELUDE = """
currency USD
fact risk: low < medium < high = low
fact pages: integer 0..1000 = 1
fact depth: number 0..9 = 1
route mini {{ model "acme:turbo-9" rates $1 in, $2 out per 1k tokens }}
route people {{ handoff "the night shift" cost $5 }}
lane standard {{ mini }}
lane premium {title} {{ mini {lane} }}
plan team_plus {plan_title} {{ {plan} }}
{file}
workflow w {{ {workflow}
  outcome support_draft {{ price $2 lanes premium, standard {draft} }}
  outcome sales_draft {{ price $3 lanes standard {sales} }}
}}
"""
PARTS = ("title", "lane", "plan_title", "plan", "file", "workflow", "draft", "sales")


def policy(**parts: str) -> CheckedPolicy:
    parts.setdefault("plan", "fee $1490 per month includes 2000 support_draft")
    return policy_engine.load(PRELUDE.format(**dict.fromkeys(PARTS, "") | parts)).checked


def plan_sentence(**parts: str) -> str:
    return next(str(offer) for offer in leaflet(policy(**parts)).offers if offer.kind == "plan")


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "Team Plus, $1,490 a month: 2,000 support drafts."),
        ({"plan": "fee $1490 per month"}, "Team Plus, $1,490 a month: nothing included."),
        ({"plan": "includes 1 support_draft"}, "Team Plus, no fee: 1 support draft a month."),
        ({"plan": "fee $9 per week includes 5 support_draft"}, "Team Plus, $9 a week: 5 support drafts."),
        ({"plan": "overage $1.50 per support_draft"}, "Team Plus, no fee: support drafts at $1.50 each."),
        (
            {"plan": "fee $9 per day includes 5 support_draft overage $0.80 per support_draft"},
            "Team Plus, $9 a day: 5 support drafts; beyond that $0.80 a draft.",
        ),
        (
            {"plan": "fee $9 per day includes 5 support_draft overage $0.80 per support_draft up to $500 per month"},
            "Team Plus, $9 a day: 5 support drafts; beyond that $0.80 a draft, up to $500 a month.",
        ),
        (
            {
                "plan": "fee $9 per day includes 5 support_draft, 1 sales_draft"
                " overage $0.80 per support_draft, $1 per sales_draft up to $500 per month"
            },
            (
                "Team Plus, $9 a day: 5 support drafts and 1 sales draft;"
                " beyond that $0.80 a support draft and $1 a sales draft, up to $500 a month in all."
            ),
        ),
        (
            {"plan": "fee $9 per day includes 5 support_draft overage $0.80 per support_draft, $1 per sales_draft"},
            "Team Plus, $9 a day: 5 support drafts; beyond that $0.80 a support draft; sales drafts at $1 each.",
        ),
        # Lanes that not everybody has, by their titles.
        (
            {"title": '"advanced reasoning for high-risk tasks"', "lane": "limit 50 per customer per month"},
            "Team Plus, $1,490 a month: 2,000 support drafts; advanced reasoning for high-risk tasks, 50 a month.",
        ),
        (
            {"title": '"advanced reasoning"', "lane": "allow when plan is team_plus and risk is high"},
            "Team Plus, $1,490 a month: 2,000 support drafts; advanced reasoning.",
        ),
        (
            {"title": '"advanced reasoning"', "lane": "limit 9 per plan per day"},
            "Team Plus, $1,490 a month: 2,000 support drafts; advanced reasoning, while there is room.",
        ),
        (
            {"title": '"advanced reasoning"', "lane": "allow unless plan is team_plus"},
            "Team Plus, $1,490 a month: 2,000 support drafts.",
        ),
        (
            {"title": '"advanced reasoning"', "lane": "limit 9 per day forbid when plan is team_plus"},
            "Team Plus, $1,490 a month: 2,000 support drafts.",
        ),
        ({"title": '"advanced reasoning"'}, "Team Plus, $1,490 a month: 2,000 support drafts."),
        (
            {
                "title": '"advanced reasoning"',
                "lane": "limit 9 per day",
                "plan": "fee $9 per day includes 5 sales_draft",
            },
            "Team Plus, $9 a day: 5 sales drafts.",
        ),
        ({"lane": "limit 9 per customer per day"}, "Team Plus, $1,490 a month: 2,000 support drafts."),
        # What bounds a customer.
        (
            {"plan": "fee $9 per day includes 5 support_draft limit 8 per customer per day"},
            "Team Plus, $9 a day: 5 support drafts; at most 8 a day.",
        ),
        (
            {
                "draft": "limit 8 per customer per hour",
                "plan": "fee $9 per day includes 5 support_draft, 2 sales_draft",
            },
            "Team Plus, $9 a day: 5 support drafts and 2 sales drafts; at most 8 support drafts an hour.",
        ),
        (
            {
                "draft": "limit 8 per customer per week",
                "plan": "fee $9 per day includes 5 support_draft, 2 sales_draft limit 9 per customer per day",
            },
            "Team Plus, $9 a day: 5 support drafts and 2 sales drafts; at most 9 a day and 8 support drafts a week.",
        ),
        ({"workflow": "limit 8 per day"}, "Team Plus, $1,490 a month: 2,000 support drafts."),
        ({"workflow": "shadow limit 8 per customer per day"}, "Team Plus, $1,490 a month: 2,000 support drafts."),
        (
            {"workflow": "limit 8 per customer per day when risk is high"},
            "Team Plus, $1,490 a month: 2,000 support drafts.",
        ),
        (
            {"plan": "fee $9 per day includes 5 support_draft forbid when pages > 40"},
            "Team Plus, $9 a day: 5 support drafts, each of up to 40 pages.",
        ),
        (
            {"plan": "fee $9 per day includes 5 support_draft forbid when pages >= 40"},
            "Team Plus, $9 a day: 5 support drafts, each of up to 39 pages.",
        ),
        ({"draft": "ceiling $1 per customer per day"}, "Team Plus, $1,490 a month: 2,000 support drafts."),
        # Titles of plans.
        ({"plan_title": '"for growing teams"'}, "Team Plus (for growing teams), $1,490 a month: 2,000 support drafts."),
        ({"plan_title": '"the Team Plus plan"'}, "The Team Plus plan, $1,490 a month: 2,000 support drafts."),
        ({"plan_title": '"with a mini model"'}, "Team Plus, $1,490 a month: 2,000 support drafts."),
    ],
)
def test_one_sentence_a_plan(parts: dict[str, str], sentence: str) -> None:
    assert plan_sentence(**parts) == sentence


def test_the_sentence_of_the_one_page() -> None:
    growth = next(offer for offer in leaflet(policy_engine.load(PAGE).checked).offers if offer.name == "growth")
    assert str(growth) == (
        "Growth, $1,490 a month: 2,000 support drafts and 120 account summaries;"
        " advanced reasoning for high-risk tasks, 50 a month; beyond that $0.80 a draft and $4 a summary."
    )


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ("", "Support drafts and sales drafts: you pay when they are delivered."),
        ("accepted within 72h", "Support drafts: you pay only for what you accept, with 72 hours to reject."),
        ("accepted within 14d else expired", "Support drafts: you pay only for what you accept within 14 days."),
    ],
)
def test_when_one_pays(terms: str, sentence: str) -> None:
    assert sentence in [str(offer) for offer in leaflet(policy(draft=terms)).offers]


@pytest.mark.parametrize(
    ("pack", "sentence"),
    [
        (
            "pack burst { 100 support_draft for $65 expires 90d }",
            "Burst: 100 more support drafts for $65, valid 90 days.",
        ),
        ("pack one_off { 1 support_draft for $0.99 }", "One Off: 1 more support draft for $0.99."),
        (
            'pack burst "after a launch" { 2k sales_draft for $1.5k }',
            "Burst (after a launch): 2,000 more sales drafts for $1,500.",
        ),
    ],
)
def test_packs(pack: str, sentence: str) -> None:
    assert sentence in [str(offer) for offer in leaflet(policy(file=pack)).offers]


def test_one_plan_or_one_outcome_can_be_asked_for() -> None:
    checked = policy_engine.load(PAGE).checked
    one_plan = leaflet(checked, plan="base").offers
    assert [(offer.kind, offer.name) for offer in one_plan] == [("plan", "base"), ("pack", "burst"), ("terms", "")]
    one_outcome = leaflet(checked, "account_summary").offers
    assert [offer.name for offer in one_outcome if offer.kind == "plan"] == ["growth", "enterprise"]
    assert str(one_outcome[-1]) == "Account summaries: you pay when they are delivered."


@pytest.mark.parametrize(
    ("parts", "note"),
    [
        ({"lane": "limit 9 per day"}, "lane `premium` is left out: a buyer knows a lane by its title, and it has none"),
        (
            {"lane": "limit 9 per day", "title": '"our Turbo-9"'},
            "lane `premium` is left out: its title says `turbo`, which is not for a buyer",
        ),
        (
            {"lane": "limit 9 per day", "title": '"fast. And good"'},
            "lane `premium` is left out: its title says `.`, which is not for a buyer",
        ),
        (
            {"plan": "includes 5 support_draft forbid when depth > 3"},
            "a buyer of plan `team_plus` is not told of `forbid when depth > 3` at <text>:10:44",
        ),
    ],
)
def test_the_author_hears_what_a_buyer_is_not_told(parts: dict[str, str], note: str) -> None:
    assert leaflet(policy(**parts)).notes == (note,)


@pytest.mark.parametrize(
    ("parts", "prices"),
    [
        ({}, ["Without a plan: $2 a support draft and $3 a sales draft."]),
        ({"draft": "allow when plan is team_plus"}, ["Without a plan: $3 a sales draft."]),
        ({"draft": "forbid unless plan is team_plus"}, ["Without a plan: $3 a sales draft."]),
        ({"lane": "forbid unless plan is team_plus"}, ["Without a plan: $2 a support draft and $3 a sales draft."]),
        ({"workflow": "forbid"}, []),
        ({"workflow": "shadow forbid"}, ["Without a plan: $2 a support draft and $3 a sales draft."]),
    ],
)
def test_only_what_is_served_has_a_price_without_a_plan(parts: dict[str, str], prices: list[str]) -> None:
    assert [str(offer) for offer in leaflet(policy(**parts)).offers if offer.kind == "list"] == prices


def test_a_plan_that_sells_what_nothing_lets_in() -> None:
    found = leaflet(policy(draft="forbid when plan is team_plus"))
    assert found.notes == ("plan `team_plus` sells `support_draft`, but its rules let none of it in",)


# ---------------------------------------------------------------- every policy


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+(?:[.'][a-z0-9]+)*", text.lower())


class _Text(HTMLParser):
    """The words of a page, without its style."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.said.append(data)


def texts(found: Leaflet) -> tuple[str, str, str]:
    page = _Text()
    page.feed("\n".join(pages.html(found)))
    return "\n".join(pages.text(found)), "\n".join(pages.markdown(found)), "\n".join(page.said)


def check(checked: CheckedPolicy) -> None:
    """No secret word in any form; a sentence each, on one line, with one full stop; amounts as in the policy."""
    found = leaflet(checked)
    product = {
        part for name in (*checked.outcomes, *checked.plans, *checked.packs) for part in words(name.replace("_", " "))
    }
    secret = {part for route in checked.routes.values() for part in words(route.name.replace("_", " "))}
    secret |= {
        part for r in checked.routes.values() if r.kind == "model" for part in words(r.reference) if len(part) > 1
    }
    secret = {part for part in secret | TRADE if not part.replace(".", "").isdigit()} - product
    for text in texts(found):
        assert not set(words(text)) & secret
        for route in checked.routes.values():
            assert route.kind == "handoff" or f" {route.reference.lower()} " not in f" {text.lower()} "
    for offer in found.offers:
        assert len(re.findall(r"[.!?](?:\s|$)", str(offer))) == 1
        assert "\n" not in str(offer)
    for plan in checked.plans.values():
        (said,) = [offer for offer in found.offers if offer.kind == "plan" and offer.name == plan.name]
        amounts = amounts_of(said, checked)
        due = [plan.fee_nanos] if plan.fee_nanos else []
        if plan.overage is not None:
            due += plan.overage.prices_nanos.values()
            due += [plan.overage.cap_nanos] if plan.overage.cap_nanos is not None else []
        assert sorted(amounts) == sorted(print_money(nanos, checked.currency, grouping=True) for nanos in due)
        counted = set(re.findall(r"(?<![\d.,$€£])\d[\d,]*(?![\d.,]*\d| [A-Z]{3}\b)", said.rest))
        assert {f"{units:,}" for units in plan.includes.values()} <= counted
    for pack in checked.packs.values():
        (said,) = [offer for offer in found.offers if offer.kind == "pack" and offer.name == pack.name]
        assert amounts_of(said, checked) == [print_money(pack.price_nanos, checked.currency, grouping=True)]
        assert f" {pack.units:,} more " in said.rest


def amounts_of(offer: Offer, checked: CheckedPolicy) -> list[str]:
    symbol = print_money(10**9, checked.currency).strip("1 ")
    form = rf"{re.escape(symbol)}[\d,.]*\d" if len(symbol) == 1 else rf"\d[\d,.]* {symbol}"
    return re.findall(form, offer.rest)


@pytest.mark.parametrize("path", EVERY_SET)
def test_the_example_policies(path: Path) -> None:
    check(policy_engine.load(path).checked)


TITLES = (
    "",
    ' "advanced reasoning for high-risk tasks"',
    ' "on mini"',
    ' "the Big model"',
    ' "from m:flat"',
    ' "web first"',
    ' "by the desk. Really!"',
    ' "10x the tokens"',
    ' "<b>bold</b> & *starred*"',
)


@examples(80)
@given(policies(Shape(most_rules=3)))
def test_any_policy(case: Case) -> None:
    """Whatever its lanes and plans are called."""
    text = re.sub(r"^((?:lane|plan) \w+)", lambda found: found[1] + case.pick.of(TITLES), case.text, flags=re.MULTILINE)
    check(loaded(text).checked)


# ---------------------------------------------------------------- pages


NASTY = Leaflet((Offer("plan", "p", "A <b> & [x](y) `c` *d* _e_ #f $g", ', "1" > 0 & <script>alert(1)</script>'),), ())


def test_html_is_escaped() -> None:
    page = "\n".join(pages.html(NASTY))
    assert "<script" not in page
    assert "http" not in page
    shown = _Text()
    shown.feed(page)
    assert str(NASTY.offers[0]) in "".join(shown.said)


def test_markdown_is_escaped() -> None:
    shown = _Text()
    shown.feed(MarkdownIt().render("\n".join(pages.markdown(NASTY))))
    assert str(NASTY.offers[0]) in "".join(shown.said)


@pytest.mark.parametrize("text", ["made by Turbo", "our model", "the night shift", "5 tokens", "line\nbreak", "a. b"])
def test_what_gives_away_how_work_is_done(text: str) -> None:
    assert Discretion(policy()).gives_away(text) is not None


@pytest.mark.parametrize(
    "text", ["advanced reasoning for high-risk tasks", "a night in the shift", "99.5% right", "support"]
)
def test_what_gives_nothing_away(text: str) -> None:
    assert Discretion(policy()).gives_away(text) is None

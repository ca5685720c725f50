"""English: plurals, articles, names as words, durations."""

import pytest

from policy_engine.analysis.explain import english
from policy_engine.language.units import duration_micros


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        ("draft", "drafts"),
        ("support draft", "support drafts"),
        ("summary", "summaries"),
        ("reply", "replies"),
        ("survey", "surveys"),
        ("brief", "briefs"),
        ("proof of income", "proofs of income"),
        ("answer to a question", "answers to a question"),
        ("analysis", "analyses"),
        ("diagnosis", "diagnoses"),
        ("thesis", "theses"),
        ("synopsis", "synopses"),
        ("index", "indexes"),
        ("matrix", "matrices"),
        ("box", "boxes"),
        ("match", "matches"),
        ("sketch", "sketches"),
        ("address", "addresses"),
        ("status", "statuses"),
        ("bus", "buses"),
        ("quiz", "quizzes"),
        ("person", "people"),
        ("child", "children"),
        ("salesman", "salesmen"),
        ("human", "humans"),
        ("criterion", "criteria"),
        ("corpus", "corpora"),
        ("life", "lives"),
        ("leaf", "leaves"),
        ("proof", "proofs"),
        ("photo", "photos"),
        ("hero", "heroes"),
        ("video", "videos"),
        ("quote", "quotes"),
        ("page", "pages"),
        ("day", "days"),
        ("SLA", "SLAs"),
        ("FAQ", "FAQs"),
        ("PR review", "PR reviews"),
        ("Person", "People"),
    ],
)
def test_plurals(singular: str, plural: str) -> None:
    assert english.plural(singular) == plural


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("draft", "a draft"),
        ("account summary", "an account summary"),
        ("hour", "an hour"),
        ("honest answer", "an honest answer"),
        ("user", "a user"),
        ("unit", "a unit"),
        ("university", "a university"),
        ("unknown region", "an unknown region"),
        ("uninsured claim", "an uninsured claim"),
        ("unimportant note", "an unimportant note"),
        ("one-page summary", "a one-page summary"),
        ("European invoice", "a European invoice"),
        ("email", "an email"),
        ("URL", "a URL"),
        ("SLA", "an SLA"),
        ("PR review", "a PR review"),
        ("RFP answer", "an RFP answer"),
        ("EU claim", "an EU claim"),
        ("UK claim", "a UK claim"),
        ("8-page brief", "an 8-page brief"),
        ("18-page brief", "an 18-page brief"),
        ("1-page brief", "a 1-page brief"),
        ("month", "a month"),
    ],
)
def test_articles(phrase: str, said: str) -> None:
    assert english.article(phrase) == said


@pytest.mark.parametrize(
    ("name", "one", "two", "head"),
    [
        ("support_draft", "1 support draft", "2 support drafts", "draft"),
        ("pr_review", "1 PR review", "2 PR reviews", "review"),
        ("invoice_fields", "1 set of invoice fields", "2 sets of invoice fields", "set"),
        ("feedback", "1 piece of feedback", "2 pieces of feedback", "piece"),
        ("market_research", "1 piece of market research", "2 pieces of market research", "piece"),
        ("proof_of_income", "1 proof of income", "2 proofs of income", "proof"),
        ("analysis", "1 analysis", "2 analyses", "analysis"),
        ("access_status", "1 access status", "2 access statuses", "status"),
        ("_x_", "1 x", "2 xes", "x"),
        ("___", "1 ___", "2 ___s", "___"),
    ],
)
def test_nouns_of_names(name: str, one: str, two: str, head: str) -> None:
    noun = english.noun(name)
    assert (noun.count(1), noun.count(2), noun.head) == (one, two, head)


def test_counts_have_commas() -> None:
    assert english.noun("support_draft").count(2000) == "2,000 support drafts"


@pytest.mark.parametrize(
    ("name", "true", "false"),
    [
        ("confidential", "confidential", "not confidential"),
        ("touches_payments", "it touches payments", "it does not touch payments"),
        ("needs_review", "it needs review", "it does not need review"),
        ("has_contract", "it has contract", "it does not have contract"),
        ("is_new", "it is new", "it is not new"),
        ("carries_risk", "it carries risk", "it does not carry risk"),
        ("press_release", "press release", "not press release"),
    ],
)
def test_flags(name: str, true: str, false: str) -> None:
    assert (english.flag(name, True), english.flag(name, False)) == (true, false)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("250ms", "250 milliseconds"),
        ("1s", "1 second"),
        ("90s", "90 seconds"),
        ("60s", "1 minute"),
        ("3min", "3 minutes"),
        ("1h", "1 hour"),
        ("24h", "24 hours"),
        ("1d", "24 hours"),
        ("72h", "72 hours"),
        ("3d", "72 hours"),
        ("73h", "73 hours"),
        ("7d", "7 days"),
        ("90d", "90 days"),
        ("5000d", "5,000 days"),
        ("0.5ms", "0.5 milliseconds"),
    ],
)
def test_durations(written: str, said: str) -> None:
    assert english.duration(duration_micros(written)) == said


@pytest.mark.parametrize(
    ("items", "said"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists(items: list[str], said: str) -> None:
    assert english.listed(items) == said

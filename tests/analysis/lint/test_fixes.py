"""Safe fixes: made together where they lie apart, in turns where they overlap, and never at the cost of a comment."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from policy_engine.analysis.lint import fixes
from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.fixes import fix
from policy_engine.analysis.lint.page import page_of, sources_of
from policy_engine.analysis.lint.rule import Edit, Found, LintRule, Tier
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.parser import parse
from policy_engine.language.source import Source, Span
from policy_engine.testing.strategies.picking import SeededPick
from tests.analysis.lint.variants import ROOT, SETS, STAYS_PUT, governs_all, planted, variant

TEXT = """currency USD
error slow  # answered late
error wrong
error odd
# the day's budget
ceiling $90 per day
"""
Edits = Callable[[Subject, Span], Iterator[Edit]]


def rule_of(edits: Edits, seeks: str = "error") -> LintRule:
    """A rule that finds every error declaration and proposes these edits."""

    def check(subject: Subject) -> Iterator[Found]:
        for item, _ in subject.statements:
            if item.span.text.startswith(seeks):
                yield Found(span=item.span, message="found", hint="mend", edits=tuple(edits(subject, item.span)))

    return LintRule(code="L998", name="made-up", topic="names", tier=Tier.WARNING, check=check, fixes=True)


@pytest.fixture
def under(monkeypatch: pytest.MonkeyPatch) -> Callable[[LintRule], fixes.Fixed]:
    def run(rule: LintRule) -> fixes.Fixed:
        monkeypatch.setattr(fixes, "lint", lambda subject, choice: lint(subject, choice, [rule]))
        return fix([Source("a.policy", TEXT)])

    return run


def removing(subject: Subject, span: Span) -> Iterator[Edit]:
    yield from subject.removal(next(item for item, _ in subject.statements if item.span.start == span.start))


def test_all_that_lie_apart_are_made_at_once_and_comments_stay(under: Callable[[LintRule], fixes.Fixed]) -> None:
    done = under(rule_of(removing))
    assert done.sources[0].text == "currency USD\n  # answered late\n# the day's budget\nceiling $90 per day\n"
    assert len(done.made) == 3
    assert done.findings == ()


def paying(subject: Subject, span: Span) -> Iterator[Edit]:
    """Takes this one out, and its length off the budget: every finding writes there."""
    yield from removing(subject, span)
    budget = next(item.span for item, _ in subject.statements if item.span.text.startswith("ceiling"))
    left = int(budget.text.removeprefix("ceiling $").removesuffix(" per day")) - len(span.text)
    yield Edit(span=budget, text=f"ceiling ${left} per day")


def test_edits_that_overlap_are_made_in_turns(under: Callable[[LintRule], fixes.Fixed]) -> None:
    done = under(rule_of(paying))
    left = 90 - len("error slow") - len("error wrong") - len("error odd")
    assert done.sources[0].text == f"currency USD\n  # answered late\n# the day's budget\nceiling ${left} per day\n"
    assert len(done.made) == 3


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        (lambda _, span: iter([Edit(span=span, text="error")]), "it does not parse"),
        (lambda _, span: iter([Edit(span=span, text="error timeout")]), "it does not load"),
        (lambda _, span: iter([Edit(span=span, text=span.text)]), "it is found again"),
        (lambda _, span: iter([Edit(span=Span(span.source, span.start, span.end + 17), text="")]), "a comment is lost"),
        (lambda _, span: iter([Edit(span=span, text="}")]), "it does not parse"),
        (
            lambda s, span: iter([Edit(span=Span(span.source, 0, len(span.source.text)), text="currency USD\n")]),
            "whole",
        ),
    ],
)
def test_a_harmful_edit_is_refused(under: Callable[[LintRule], fixes.Fixed], edits: Edits, why: str) -> None:
    done = under(rule_of(edits, "error slow"))
    assert done.sources[0].text == TEXT, why
    assert len(done.refused) == 1
    assert len(done.findings) == 1
    assert done.made == ()


def test_one_harmful_edit_does_not_keep_others_from_being_made(under: Callable[[LintRule], fixes.Fixed]) -> None:
    def edits(subject: Subject, span: Span) -> Iterator[Edit]:
        if span.text == "error wrong":
            yield Edit(span=span, text="error timeout")
        else:
            yield from removing(subject, span)

    done = under(rule_of(edits))
    assert (
        done.sources[0].text
        == "currency USD\n  # answered late\nerror wrong\n# the day's budget\nceiling $90 per day\n"
    )
    assert (len(done.made), len(done.refused)) == (2, 1)


FIXING = [pytest.param(rule, id=rule.code) for rule in every_rule() if rule.fixes]


@pytest.mark.parametrize("rule", FIXING)
def test_a_rule_that_fixes_mends_its_own_bad(rule: LintRule) -> None:
    sources = sources_of(page_of(rule).bad)
    choice = Choice(select=("L", rule.code))
    done = fix(sources, choice)
    assert done.made, "nothing was fixed"
    assert not done.refused
    assert not [finding for finding in done.findings if finding.edits], "something fixable is left"
    again = fix(done.sources, choice)
    assert [source.text for source in again.sources] == [source.text for source in done.sources]


def test_a_finding_that_is_allowed_is_not_fixed() -> None:
    text = "currency USD\nerror slow  # lint: allow L073 because the next release raises it\n"
    done = fix([Source("a.policy", text)], Choice(select=("L073", "L09")))
    assert done.sources[0].text == text
    assert [finding.allowed_because for finding in done.findings] == ["the next release raises it"]


def comments(sources: Sequence[Source]) -> Counter[str]:
    return Counter(comment.text for source in sources for comment in parse(source)[0].comments)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_flawed_set_is_fixed_in_one_go(ends: str) -> None:
    asked = Choice(select=("L", *(rule.code for rule in every_rule() if rule.opt_in)))
    folder = ROOT / "tests" / "data" / "flawed"
    before = [Source(path.name, path.read_text().replace("\n", ends)) for path in sorted(folder.iterdir())]
    fixable = [item for item in lint(subject_of(before), asked) if item.edits]
    done = fix(before, asked)
    assert not done.refused
    assert len(done.made) >= len(fixable) > 0
    assert not [item for item in done.findings if item.edits]
    lost = comments(before) - comments(done.sources)
    assert all(text.startswith("# lint: allow") for text in lost), lost
    # what had no fix is still found: mending one thing hides no other
    left = {item.diagnostic.code for item in done.findings}
    assert left == {item.diagnostic.code for item in lint(subject_of(before), asked) if not item.edits}


@pytest.mark.parametrize("seed", range(len(SETS)))
def test_a_fix_changes_nothing_but_what_it_is_about(seed: int) -> None:
    for rule in (rule for rule in every_rule() if rule.fixes and not rule.opt_in):
        bed, said = variant(3_000 + seed)
        sources = planted(bed, sources_of(page_of(rule).bad), SeededPick(seed), moving=rule.code not in STAYS_PUT)
        done = fix(sources)
        flaws = [now.name for was, now in zip(sources, done.sources, strict=True) if was is not now]
        assert all(name.startswith(("flaw", "workflow")) for name in flaws), f"{rule.code}: {said}"
        assert done.made or (governs_all(bed) and rule.topic in ("fallback", "retries", "names")), rule.code

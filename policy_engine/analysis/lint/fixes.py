"""Makes the edits that findings propose, as long as each result is what was meant.

In each pass the findings whose edits lie apart are fixed together; what overlapped is found again in the next
one. A result stands only if it loads, every statement that no edit touched says what it said, every comment
is still there (comments to the linter apart), what was fixed is no longer found, and nothing new is an error.
Where all together fail that, fewer are tried, and the one that fails it alone is left to a person.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policy_engine.analysis.lint.choice import EVERYTHING, Choice
from policy_engine.analysis.lint.rule import Edit, Finding
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language import syntax as s
from policy_engine.language.diagnostics import PolicyError, Severity
from policy_engine.language.parser import parse
from policy_engine.language.source import Source, Span
from policy_engine.prices.table import PriceTable

MAX_PASSES = 200
"""Edits that undo one another would go on for ever; none that we know do."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """`sources` are the texts afterwards, in the order they were given; `findings` what is found in them, made
    from `subject`; `made` the findings whose edits were made, `refused` those whose edits would have done harm.
    """

    sources: tuple[Source, ...]
    subject: Subject
    findings: tuple[Finding, ...]
    made: tuple[Finding, ...]
    refused: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _State:
    sources: tuple[Source, ...]
    subject: Subject
    findings: tuple[Finding, ...]


def fix(sources: Sequence[Source], choice: Choice = EVERYTHING, prices: PriceTable | None = None) -> Fixed:
    """Every safe fix made. Raises `PolicyError` if the sources do not load as they are."""
    state = _state(tuple(sources), choice, prices)
    made: list[Finding] = []
    refused: dict[tuple[str, ...], Finding] = {}
    for _ in range(MAX_PASSES):
        waiting = [item for item in _fixable(state.findings) if _key(item) not in refused]
        together = _apart(waiting)
        if not together:
            break
        # Fewer at a time until it works; the edits of the others are found again, because these move them.
        while (after := _tried(state, together, choice, prices)) is None and len(together) > 1:
            together = together[: len(together) // 2]
        if after is None:
            refused[_key(together[0])] = together[0]
        else:
            made += together
            state = after
    return Fixed(state.sources, state.subject, state.findings, tuple(made), tuple(refused.values()))


def _state(sources: tuple[Source, ...], choice: Choice, prices: PriceTable | None) -> _State:
    subject = subject_of(sources, prices)
    return _State(sources, subject, lint(subject, choice))


def _fixable(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.edits and finding.allowed_because is None]


def _key(finding: Finding) -> tuple[str, ...]:
    """A finding by what it says and where, but for lines that other fixes move."""
    said = finding.diagnostic
    return (said.code, said.span.source.name, said.message, said.span.text)


def _apart(findings: Sequence[Finding]) -> list[Finding]:
    """The findings in order, without those whose edits overlap earlier ones; the same edit proposed twice is one."""
    taken: list[Edit] = []
    chosen: list[Finding] = []
    for finding in findings:
        new = [edit for edit in finding.edits if not any(_same(edit, other) for other in taken)]
        if any(_overlap(edit.span, other.span) for edit in new for other in taken):
            continue
        taken += new
        chosen.append(finding)
    return chosen


def _same(one: Edit, other: Edit) -> bool:
    return one.text == other.text and one.span.source is other.span.source and one.span.order == other.span.order


def _overlap(one: Span, other: Span) -> bool:
    """Two things written into one place overlap too: they have no order."""
    if one.source is not other.source:
        return False
    return (one.start < other.end and other.start < one.end) or one.order == other.order


def edited(source: Source, edits: Iterable[Edit]) -> str:
    """The text with these edits made; they must lie apart, repetitions aside."""
    text, end = "", 0
    own = {(edit.span.start, edit.span.end, edit.text) for edit in edits if edit.span.source is source}
    for start, stop, new in sorted(own):
        text += source.text[end:start] + new
        end = stop
    return text + source.text[end:]


# ---------------------------------------------------------------- is it what was meant


def _tried(state: _State, findings: Sequence[Finding], choice: Choice, prices: PriceTable | None) -> _State | None:
    """The set with these findings fixed, or None if that is not what was meant."""
    edits = [edit for finding in findings for edit in finding.edits]
    touched = {edit.span.source for edit in edits}
    after = tuple(
        Source(source.name, edited(source, edits)) if source in touched else source for source in state.sources
    )
    about_comments = all(finding.rule is not None and finding.rule.topic == "suppressions" for finding in findings)
    for before, now in zip(state.sources, after, strict=True):
        if now is not before and not _keeps(before, now, edits, comments=not about_comments):
            return None
    try:
        result = _state(after, choice, prices)
    except PolicyError:
        return None
    was, now_found = Counter(map(_key, state.findings)), Counter(map(_key, result.findings))
    gone = all(now_found[_key(item)] < was[_key(item)] for item in findings)
    errors_before, errors_after = _errors(state.findings), _errors(result.findings)
    return result if gone and not errors_after - errors_before else None


def _errors(findings: Iterable[Finding]) -> Counter[tuple[str, ...]]:
    return Counter(_key(item) for item in findings if item.diagnostic.severity is Severity.ERROR)


def _keeps(before: Source, now: Source, edits: Iterable[Edit], *, comments: bool) -> bool:
    """Whether a file still says all that no edit was about."""
    was, mistakes = parse(before)
    new, slips = parse(now)
    if mistakes or slips:
        return False
    if comments and Counter(map(_words, was.comments)) - Counter(map(_words, new.comments)):
        return False
    own = [edit.span for edit in edits if edit.span.source is before]
    if any(span.start == 0 and span.end >= len(before.text) for span in own):
        return was == new or was.items == new.items  # a new layout says the same
    kept = [said for said, span in _said(was.items) if not any(_crosses(span, edit) for edit in own)]
    left = iter(said for said, _ in _said(new.items))
    return all(any(said == other for other in left) for said in kept)


def _words(comment: s.Comment) -> str:
    return comment.text


def _crosses(span: Span, edit: Span) -> bool:
    return edit.start < span.end and span.start < edit.end


def _said(items: Iterable[s.Item], around: tuple[object, ...] = ()) -> Iterable[tuple[tuple[object, ...], Span]]:
    """Every statement with the blocks it stands in, in written order; a block stands for its head."""
    for item in items:
        if isinstance(item, s.Block):
            head = (item.kind, item.name, item.title, item.path, item.pack)
            yield (*around, head), item.head
            yield from _said(item.items, (*around, head))
        else:
            yield (*around, item), item.span

"""Which statement may stand in which block, and which tail may follow which rule."""

from policy_engine.language import syntax as s
from policy_engine.language.checker.findings import Findings
from policy_engine.language.mistakes import rules as mistakes
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import PLACEMENT, SHADOWED, TAILS

WORDS: dict[type, str] = {
    s.CurrencyDeclaration: "currency",
    s.TimezoneDeclaration: "timezone",
    s.FactDeclaration: "fact",
    s.ErrorDeclaration: "error",
    s.StoreFailure: "on store failure",
    s.Model: "model",
    s.Tool: "tool",
    s.Handoff: "handoff",
    s.RatesSetting: "rates",
    s.Cost: "cost",
    s.Fee: "fee",
    s.Includes: "includes",
    s.Overage: "overage",
    s.Expires: "expires",
    s.Price: "price",
    s.Lanes: "lanes",
    s.Accepted: "accepted",
    s.Ceiling: "ceiling",
    s.Retry: "retry",
    s.Allow: "allow",
    s.Forbid: "forbid",
    s.Limit: "limit",
    s.Fallback: "fallback",
    s.Margin: "margin",
}
"""The word each statement begins with; a block begins with its kind."""

_PLACES = ("file", "workflow", "outcome", "plan", "pack", "lane", "route")

_TAIL_WORDS = {
    "on": "`on`",
    "backoff": "`backoff`",
    "condition": "`when` or `unless`",
    "alert": "`alert at`",
    "label": "`as`",
}


def word_of(item: s.Item) -> str:
    """The word a statement begins with."""
    return item.kind if isinstance(item, s.Block) else WORDS[type(item)]


def keyword(item: s.Item) -> Span:
    """Where that word stands; before it there may be a `shadow`."""
    word, span = word_of(item), item.span
    start = span.source.text.find(word, span.start, span.end)
    return Span(span.source, start, start + len(word)) if start >= 0 else span


def may_stand(findings: Findings, item: s.Item, kind: str) -> bool:
    """Whether a statement may stand in a block of this kind (or at file level); reports it where not."""
    word = word_of(item)
    places = PLACEMENT[word]
    if kind in places:
        return True
    findings.add(mistakes.misplaced(keyword(item), word, kind, [place for place in _PLACES if place in places]))
    return False


def check_tails(findings: Findings, rule: s.Rule, word: str) -> None:
    """Report tails that this rule does not take, and a `shadow` it cannot be."""
    if rule.shadow and word not in SHADOWED:
        start = rule.span.start
        findings.add(mistakes.not_shadowed(Span(rule.span.source, start, start + len("shadow")), word))
    tails = rule.tails
    for tail, node in (("on", tails.on), ("backoff", tails.backoff), ("alert", tails.alert)):
        if node is not None and tail not in TAILS[word]:
            taken = [spelling for name, spelling in _TAIL_WORDS.items() if name in TAILS[word]]
            findings.add(mistakes.tail_not_taken(node.span, word, _TAIL_WORDS[tail], taken))

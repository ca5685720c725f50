"""The pages of lint rules on a screen: `policy lint --explain` and `--list`."""

from textwrap import fill
from typing import TYPE_CHECKING

from policy_engine.cli.app import CLEAN
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen

if TYPE_CHECKING:
    from policy_engine.analysis.lint.rule import LintRule


def show_page(screen: Screen, word: str) -> int:
    """The page of the rule of this code or name. Raises `Problem` if there is none."""
    from policy_engine.analysis.lint.page import page_of

    rule = _rule(word)
    page = page_of(rule)
    fixed = ", --fix can do it" if rule.fixes else ""
    screen.say(
        (rule.code, str(rule.tier)), " ", (rule.name, "title"), (f"  ({rule.tier}, {rule.topic}{fixed})", "quiet")
    )
    screen.say(page.title)
    for head, text in (("What", page.what), ("Why", page.why)):
        screen.say()
        screen.say((head, "title"))
        for number, paragraph in enumerate(text.split("\n\n")):
            if number:
                screen.say()
            for line in _wrapped(paragraph, min(screen.width, 100) - 2):
                screen.say("  " + line)
    for head, policy, role in (("Bad", page.bad, "bad"), ("Good", page.good, "good")):
        screen.say()
        screen.say((head, role))
        for line in policy.removesuffix("\n").split("\n"):
            code, sign, comment = line.partition("#")
            screen.say(("  | ", "gutter"), code, (sign + comment, "quiet"))
    return CLEAN


def show_rules(screen: Screen) -> int:
    """Every rule by topic: code, tier, name, and what it finds."""
    from policy_engine.analysis.lint.discovery import every_rule
    from policy_engine.analysis.lint.page import page_of
    from policy_engine.analysis.lint.rule import TOPICS

    wide = max(len(rule.name) for rule in every_rule())
    for topic in TOPICS:
        rules = [rule for rule in every_rule() if rule.topic == topic]
        if not rules:
            continue
        screen.say((topic, "title"))
        for rule in rules:
            tier = (f"{rule.tier:<8}", str(rule.tier))
            screen.say("  ", (rule.code, "strong"), " ", tier, f"{rule.name:<{wide}}  ", (page_of(rule).title, "quiet"))
    return CLEAN


def _rule(word: str) -> "LintRule":
    from policy_engine.analysis.lint.choice import unknown_words
    from policy_engine.analysis.lint.discovery import by_code_or_name

    rules = by_code_or_name()
    found = rules.get(word) or rules.get(word.upper())
    if found is None:
        hints = [hint for _, hint in unknown_words([word])] or ["write a whole code"]
        raise Problem(f"no lint rule is called `{word}`", hint=hints[0])
    return found


def _wrapped(paragraph: str, width: int) -> list[str]:
    """Lists keep their lines, anything else is one paragraph."""
    lines = paragraph.split("\n")
    if any(line.startswith(("- ", "  ", "|", "1. ")) for line in lines):
        return lines
    return fill(" ".join(lines), width, break_long_words=False, break_on_hyphens=False).split("\n")

"""The pages of the lint rules as Markdown files, and their index. `docs/rules/` is made of them."""

from collections.abc import Iterable, Mapping

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.page import files_of, page_of, sources_of
from policy_engine.analysis.lint.rule import TOPICS, LintRule
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.prices.table import LOCK_NAME

INDEX = "README.md"


def every_page() -> Mapping[str, str]:
    """The files by name: the index, and one for each rule."""
    return {INDEX: _index(every_rule())} | {file_name(rule): _page(rule) for rule in every_rule()}


def file_name(rule: LintRule) -> str:
    return f"{rule.code}-{rule.name}.md"


def _page(rule: LintRule) -> str:
    page = page_of(rule)
    findings = lint(subject_of(sources_of(page.bad)), Choice(select=("L", rule.code)))
    said = "\n\n".join(str(item.diagnostic) for item in findings if item.rule is rule)
    ways = [f"*{rule.tier}*", f"[{rule.topic}]({INDEX}#{rule.topic})"]
    ways += ["`--fix` can do it"] if rule.fixes else []
    ways += [f"runs only if it is selected by itself: `--select L,{rule.code}`"] if rule.opt_in else []
    return f"""# {rule.code} {rule.name}

**{page.title}** {", ".join(ways)}

## What

{page.what}

## Why

{page.why}

## Bad

{_fenced(page.bad)}

What is said of it:

    {said.replace(chr(10), chr(10) + "    ").replace(chr(10) + "    " + chr(10), chr(10) + chr(10))}

## Good

{_fenced(page.good)}
"""


def _fenced(text: str) -> str:
    """The files of a set as blocks: the policy, and its price lock if it has one."""
    files = dict(files_of(text))
    lock = files.pop(LOCK_NAME, None)
    if lock is None:
        return f"```policy\n{text}```"
    (policy,) = files.values()
    return f"```policy\n{policy}```\n\n`{LOCK_NAME}`:\n\n```json\n{lock}```"


def _index(rules: Iterable[LintRule]) -> str:
    by_topic: dict[str, list[LintRule]] = {topic: [] for topic in TOPICS}
    for rule in rules:
        by_topic[rule.topic].append(rule)
    parts = [_topic(topic, found) for topic, found in by_topic.items() if found]
    return f"""# Lint rules

[Linting](../linting.md) says how they are run, chosen, allowed and fixed. A code is never given twice.

{"".join(parts).rstrip()}
"""


def _topic(topic: str, rules: Iterable[LintRule]) -> str:
    rows = "".join(
        f"| [{rule.code}]({file_name(rule)}) | {rule.name} | {rule.tier}{', if selected' * rule.opt_in} | "
        f"{page_of(rule).title} | {'yes' if rule.fixes else ''} |\n"
        for rule in rules
    )
    return f"## {topic}\n\n| code | name | tier | what it finds | fix |\n| --- | --- | --- | --- | --- |\n{rows}\n"

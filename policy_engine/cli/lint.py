"""`policy lint`: what is allowed by the language and still costs money, and what only confuses."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.app import CLEAN, FINDINGS
from policy_engine.cli.lint_pages import show_page, show_rules
from policy_engine.cli.options import PolicyPath, prices_option
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Part, Screen, show_diagnostic
from policy_engine.cli.rewriting import replace_file, show_diff, unified

if TYPE_CHECKING:
    from policy_engine.analysis.lint.choice import Choice
    from policy_engine.analysis.lint.report import Report
    from policy_engine.analysis.lint.rule import Finding
    from policy_engine.analysis.lint.settings import Settings
    from policy_engine.language.source import Source
    from policy_engine.prices.table import PriceTable

STDIN = "-"
FORMATS = ("text", "json", "sarif", "github", "junit")
TIERS = ("error", "warning", "note")


def _words(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Several words, each option with one or more, parted by commas; every one names a rule or begins a code."""
    words = tuple(word.strip() for value in values for word in value.split(","))
    if words:
        from policy_engine.analysis.lint.choice import unknown_words

        for word, hint in unknown_words(words):
            raise click.BadParameter(f"no lint rule is called `{word}`; {hint}", ctx, param)
    return words


@click.command("lint")
@click.argument("paths", metavar="PATH...", nargs=-1, type=PolicyPath())
@click.option("--select", metavar="RULE,…", multiple=True, callback=_words, help="Run these rules alone.")
@click.option("--ignore", metavar="RULE,…", multiple=True, callback=_words, help="Do not run these rules.")
@click.option(
    "--fail-on", type=click.Choice(TIERS), help="The lightest finding that fails; `warning` if nothing is set."
)
@click.option("--fix", "make", is_flag=True, help="Make every safe fix, then report what is left.")
@click.option("--diff", is_flag=True, help="Write nothing; show what --fix would change.")
@click.option("--explain", metavar="RULE", help="Print the page of a rule, and lint nothing.")
@click.option("--list", "listed", is_flag=True, help="List all rules, and lint nothing.")
@click.option("--config", metavar="FILE", type=PolicyPath(), help="Read settings from this file alone.")
@prices_option
@click.option("--isolated", is_flag=True, help="Read no settings.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    help="`text` for people; `json`, `sarif`, `github` (annotations) or `junit` for programs.",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour: `auto` on a terminal where NO_COLOR is not set.",
)
def lint_command(paths: tuple[str, ...], explain: str | None, listed: bool, color: str, **options: Any) -> int:
    """Find what loads and still loses money, refuses work or misleads its reader.

    PATH is a file, a directory (every `.policy` file below it) or `-` for standard input. All PATHs together
    are linted as one policy. RULE is a code (`L001`), the beginning of codes (`L02`) or the name of a rule.
    Settings are read from `[tool.policy_engine.lint]` in the nearest pyproject.toml, or `[lint]` in policy.toml.

    \b
      policy lint policies/customer_support
      policy lint support.policy --ignore L07 --fail-on note
      policy lint support.policy --fix --diff
      policy lint --explain L001

    A comment allows a finding: `# lint: allow L001 because REASON`, behind the statement or above it.

    Exit code: 0 if nothing is found in tier --fail-on or above, 1 if something is or the policy does not load
    (with --diff: or if a fix would change a file), 2 if a PATH or a setting cannot be used.
    """  # noqa: D301 - click's mark for lines to be kept
    screen = Screen(color)
    if listed:
        return show_rules(screen)
    if explain is not None:
        return show_page(screen, explain)
    if not paths:
        raise click.UsageError("name a PATH to lint, or a rule to --explain")
    return _lint(screen, paths, **options)


def _lint(
    screen: Screen,
    paths: tuple[str, ...],
    *,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str | None,
    make: bool,
    diff: bool,
    config: str | None,
    prices: str | None,
    isolated: bool,
    form: str,
) -> int:
    from policy_engine.analysis.lint.choice import Choice
    from policy_engine.analysis.lint.report import Report
    from policy_engine.analysis.lint.rule import Tier
    from policy_engine.cli.reading import read_prices, read_sources

    if make and STDIN in paths and not diff:
        raise Problem(
            "`--fix` rewrites files, and standard input is none", hint="add `--diff` to see what would change"
        )
    settings = _settings(paths, config, isolated=isolated)
    said = settings.choice
    choice = Choice(select=select or said.select, ignore=ignore or said.ignore, tiers=said.tiers)
    sources, unread = read_sources(paths)
    table = read_prices(paths, prices)
    outcome = _run(sources, unread, choice, table, fixing=make or diff)
    rules = outcome.rules
    report = Report(
        sources=tuple(outcome.now),
        rules=rules,
        findings=outcome.findings,
        fail_on=Tier(fail_on) if fail_on is not None else settings.fail_on,
    )
    changed = [(old, new) for old, new in zip(sources, outcome.now, strict=True) if old is not new]
    if diff:
        patch = "".join(unified(old.name, old.text, new.text, "fixed") for old, new in changed)
        if patch:
            show_diff(screen, patch)
        _summarize(screen.note, report, outcome, made="would be fixed")
        return FINDINGS if patch or report.faults else CLEAN
    for _, new in changed:
        try:
            replace_file(Path(new.name), new.text)
        except OSError as error:
            error.filename = new.name
            raise
    _show(screen, form, report, outcome)
    return FINDINGS if report.faults else CLEAN


def _settings(paths: Sequence[str], config: str | None, *, isolated: bool) -> "Settings":
    from policy_engine.analysis.lint.settings import Settings, settings_for, settings_in
    from policy_engine.analysis.lint.settings_mistakes import SettingsError

    if isolated:
        return Settings()
    try:
        if config is not None:
            return settings_in(Path(config))
        return settings_for(Path(path) for path in paths if path != STDIN)
    except SettingsError as error:
        raise Problem(error.message, error.place, hint=error.hint) from None


class _Outcome:
    """What came of a run: the texts `now`, the findings in them, and what was fixed on the way."""

    def __init__(self, now: "Sequence[Source]", findings: "Sequence[Finding]") -> None:
        self.now = now
        self.findings = tuple(findings)
        self.made: tuple[Finding, ...] = ()
        self.refused: tuple[Finding, ...] = ()
        self.statements = 0  # rules of the policy
        self.loaded = False
        self.prices: PriceTable | None = None  # of a lock
        self.rules: tuple[Any, ...] = ()


def _run(
    sources: "Sequence[Source]", unread: Sequence[Any], choice: "Choice", prices: "PriceTable | None", *, fixing: bool
) -> _Outcome:
    from policy_engine.analysis.lint.discovery import every_rule
    from policy_engine.analysis.lint.fixes import fix
    from policy_engine.analysis.lint.report import mistakes
    from policy_engine.analysis.lint.runner import lint, subject_of
    from policy_engine.cli.reading import set_of, unpriceable
    from policy_engine.language.diagnostics import PolicyError
    from policy_engine.prices.records import PriceError

    if unread:
        return _Outcome(sources, mistakes(set_of(sources, unread).diagnostics))
    try:
        if fixing:
            done = fix(sources, choice, prices)
            outcome = _Outcome(done.sources, done.findings)
            outcome.made, outcome.refused, subject = done.made, done.refused, done.subject
        else:
            subject = subject_of(sources, prices)
            outcome = _Outcome(sources, lint(subject, choice))
    except PolicyError as error:
        return _Outcome(sources, mistakes(error.diagnostics))
    except PriceError as error:
        raise unpriceable(error) from None
    outcome.loaded = True
    outcome.prices = prices
    outcome.statements = len(subject.every_rule)
    outcome.rules = tuple(rule for rule in every_rule() if choice.takes(rule))
    return outcome


# ---------------------------------------------------------------- what is shown


def _show(screen: Screen, form: str, report: "Report", outcome: _Outcome) -> None:
    if form == "json":
        from policy_engine.analysis.lint.outputs.plain import to_json

        screen.json(to_json(report) | {"fixed": len(outcome.made)})
    elif form == "sarif":
        from policy_engine import __version__
        from policy_engine.analysis.lint.outputs.sarif import to_sarif

        screen.json(to_sarif(report, __version__))
    elif form == "github":
        from policy_engine.analysis.lint.outputs.github import to_github

        for line in to_github(report):
            screen.raw(line + "\n")
        sys.stdout.flush()
        _summarize(screen.note, report, outcome)
    elif form == "junit":
        from policy_engine.analysis.lint.outputs.junit import to_junit

        screen.raw(to_junit(report))
    else:
        for finding in report.reported:
            show_diagnostic(screen.say, finding.diagnostic)
            if finding.rule is not None:
                can = ", --fix can do it" if finding.edits else ""
                screen.say(("  = ", "gutter"), (f"more: policy lint --explain {finding.rule.code}{can}", "quiet"))
            screen.say()
        _summarize(screen.say, report, outcome)


def _summarize(say: Any, report: "Report", outcome: _Outcome, made: str = "fixed") -> None:
    from policy_engine.language.diagnostics import Severity, count

    what = count(len(report.sources), "file")
    if outcome.loaded:
        what += f", {count(outcome.statements, 'rule')}"
        if outcome.prices is not None:
            what += f", prices from {outcome.prices.origin}"
    found = [finding.diagnostic.severity for finding in report.reported]
    parts: list[Part] = []
    for severity in Severity:
        if severity in found:
            parts += [", "] * bool(parts) + [(count(found.count(severity), str(severity)), str(severity))]
    parts = parts or [("clean", "good")]
    allowed = len(report.findings) - len(report.reported)
    fixable = sum(bool(finding.edits) for finding in report.reported) - len(outcome.refused)
    tail = [f"{allowed} allowed by a comment"] if allowed else []
    tail += [f"{len(outcome.made)} {made}"] if outcome.made else []
    tail += [f"{fixable} can be fixed with --fix"] if fixable > 0 else []
    say(f"{what}: ", *parts, *(f"; {said}" for said in tail))
    if not outcome.loaded:
        say(("it does not load, so no lint rule looked at it", "quiet"))

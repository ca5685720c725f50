"""`policy test`: the tests of a policy."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.app import CLEAN, FINDINGS, UNREADABLE
from policy_engine.cli.options import PolicyPath
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen, show_diagnostics, show_lines
from policy_engine.cli.test_reports import Asked, report, report_options, require_passing, require_sense

if TYPE_CHECKING:
    from policy_engine.testing.cases import Result
    from policy_engine.testing.runner import FileRun, Run


@click.command("test")
@click.argument("paths", metavar="[PATH...]", nargs=-1, type=PolicyPath())
@click.option("-k", "expression", metavar="EXPR", help="Only cases whose name fits: `premium and not refund`.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "json", "junit"]),
    default="terminal",
    help="`terminal` for people, `json` and `junit` for programs.",
)
@click.option(
    "--new", metavar="POLICY", type=PolicyPath(), help="Write cases for what no test covers beside POLICY; run nothing."
)
@click.option("-v", "--verbose", is_flag=True, help="Name the cases that pass, too.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colour: `auto` on a terminal where NO_COLOR is not set.",
)
@report_options
def test_command(
    paths: tuple[str, ...],
    expression: str | None,
    form: str,
    new: str | None,
    verbose: bool,
    color: str,
    **reports: Any,
) -> int:
    """Run the tests of a policy.

    PATH is a test file (NAME.policytest.yaml) or a directory: every test file below it. Without a PATH it is the
    working directory. NAME.policytest.yaml tests NAME.policy beside it, or, if there is none, its whole folder.

    \b
      policy test
      policy test policies/customer_support -k "premium and not refund"
      policy test --format junit > report.xml
      policy test --new support.policy
      policy test --coverage --html coverage --fail-under 90
      policy test --mutate --timeout-minutes 5

    Exit code: 0 if all cases pass, 1 if one does not or less than --fail-under is covered or noticed, 2 if a file
    cannot be used or nothing was run.
    """  # noqa: D301 - click's mark for lines to be kept
    from policy_engine.testing.files import TEST_SUFFIX, collect
    from policy_engine.testing.outputs import to_json, to_junit
    from policy_engine.testing.runner import BadExpression, matching, run

    screen = Screen(color)
    asked = Asked(**reports)
    require_sense(asked)
    if new is not None:
        if paths or expression is not None:
            raise click.UsageError("--new runs nothing: give it the policy, and no PATH")
        from policy_engine.cli.test_new import write_new

        return write_new(Path(new), screen)
    try:
        wanted = matching(expression) if expression is not None else None
    except BadExpression as error:
        raise click.BadParameter(f"`{expression}` cannot be read: {error}", param_hint="-k") from None
    files = collect([Path(path) for path in paths or (".",)])
    if not files:
        where = ", ".join(paths) or "the working directory"
        raise Problem(f"no *{TEST_SUFFIX} file in {where}, so nothing was tested", hint=f"write one: NAME{TEST_SUFFIX}")
    done = run(files, wanted)
    made = report(done, asked, screen, whole=form == "json")
    if form == "json":
        screen.json(to_json(done) | made.to_json())
    elif form == "junit":
        screen.raw(to_junit(done))
    else:
        _show(screen, done, verbose=verbose)
        made.show(screen, asked)
    if asked.mutate:
        require_passing(done)
    if done.broken:
        return UNREADABLE
    if not done.results:
        raise Problem(f"no case fits `{expression}`, so nothing was tested")
    return CLEAN if done.passed and not made.below else FINDINGS


def _show(screen: Screen, done: "Run", *, verbose: bool) -> None:
    """What is wrong with files, then failures, then one line per file and the count."""
    for file in done.files:
        show_diagnostics(screen.say, file.file.diagnostics)
    for file in done.files:
        for result in file.failed:
            _show_failure(screen, file, result)
    for file in done.files:
        _show_file(screen, file, verbose=verbose)
    screen.say()
    screen.say(*_summary(done))


def _show_failure(screen: Screen, file: "FileRun", result: "Result") -> None:
    from policy_engine.testing.explanation import sections

    screen.say(("FAILED ", "bad"), (result.case.name, "strong"))
    for role, lines in sections(result, file.file.policy):
        if role == "hint":
            for line in lines:
                screen.say((line, role))
        else:
            show_lines(screen.say, lines, role)
    screen.say()


def _show_file(screen: Screen, file: "FileRun", *, verbose: bool) -> None:
    path = (file.file.path.as_posix(), "place")
    if file.broken:
        screen.say(path, ": ", ("cannot be used", "bad"))
        return
    failed = len(file.failed)
    passed = len(file.results) - failed
    parts: list[str | tuple[str, str]] = [path, ": "]
    if failed:
        parts += [(f"{failed:,} failed", "bad"), ", "]
    screen.say(*parts, (f"{passed:,} passed", "good" if passed else ""))
    if verbose:
        for result in file.results:
            mark = ("  passed  ", "good") if result.passed else ("  failed  ", "bad")
            screen.say(mark, result.case.name, (f"  line {result.case.line}", "quiet"))


def _summary(done: "Run") -> list[str | tuple[str, str]]:
    from policy_engine.language.diagnostics import count

    failed, passed = len(done.failed), len(done.results) - len(done.failed)
    parts: list[str | tuple[str, str]] = []
    if done.broken:
        parts += [(f"{count(len(done.broken), 'file')} cannot be used", "bad")]
        if not done.results:
            return parts
        parts.append("; ")
    parts.append(f"{count(len(done.results), 'case')}: ")
    if failed:
        parts += [(f"{failed:,} failed", "bad"), ", "]
    parts.append((f"{passed:,} passed", "good" if passed and not failed and not done.broken else ""))
    if done.left_out:
        parts.append(f", {done.left_out:,} left out by -k")
    parts.append((f" in {done.seconds:.2f}s", "quiet"))
    return parts

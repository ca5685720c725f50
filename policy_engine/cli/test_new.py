"""`policy test --new`: starter cases for what no test covers, written beside the policy."""

from pathlib import Path
from typing import TYPE_CHECKING

from policy_engine.cli.app import CLEAN
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen, show_diagnostics

if TYPE_CHECKING:
    from policy_engine.testing.cases import Case


def write_new(path: Path, screen: Screen) -> int:
    """Write a test file for a policy, or one more beside those it has. Nothing is ever overwritten."""
    from policy_engine.cli.reading import open_policy
    from policy_engine.language.diagnostics import count
    from policy_engine.policy import DEFAULT_ENGINE
    from policy_engine.testing.files import SUFFIXES
    from policy_engine.testing.starters import starters

    if path.name.endswith(SUFFIXES):
        raise Problem("this is a test file; name the policy that is to be tested", path)
    policy = open_policy([str(path)], DEFAULT_ENGINE, screen)
    cases = _existing(path, screen)
    made = starters(policy, cases)
    for what in made.unreached:
        screen.note(("no facts were found for: ", "warning"), what)
    if not len(made):
        screen.say("nothing to add: ", (f"{count(len(cases), 'case')} cover what facts were found for", "good"))
        return CLEAN
    target = _target(path)
    target.write_text(made.text(_named(path, target)), encoding="utf-8")
    screen.say((target.as_posix(), "place"), f": {count(len(made), 'case')} written, ", ("to be reviewed", "warning"))
    screen.say(("  they say what the policy answers today; whether that is right is for you to say", "hint"))
    return CLEAN


def _existing(path: Path, screen: Screen) -> "list[Case]":
    """The cases that the policy has."""
    from policy_engine.testing.files import collect

    files = [file for file in collect([_folder(path)]) if _same(file.policy_paths, path)]
    broken = [file for file in files if file.policy is None]
    for file in broken:
        show_diagnostics(screen.note, file.diagnostics)
    if broken:
        raise Problem("it cannot be used, so it is not known what it covers", broken[0].path)
    return [case for file in files for case in file.cases]


def _same(paths: tuple[Path, ...], path: Path) -> bool:
    """Whether these are the same policy: the same files, however they were named."""
    from policy_engine.policy import policy_files

    try:
        ours, theirs = ({file.resolve() for file in policy_files(each)} for each in (paths, [path]))
    except FileNotFoundError:
        return False
    return ours == theirs


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _target(path: Path) -> Path:
    """A name that is not taken: of the policy, else with `more`."""
    from policy_engine.testing.files import TEST_SUFFIX

    name = path.resolve().name if path.is_dir() else path.stem
    for stem in (name, f"{name}.more"):
        target = _folder(path) / f"{stem}{TEST_SUFFIX}"
        if not target.exists():
            return target
    raise Problem("it is there already, and is not overwritten", target, hint="review it, and give it another name")


def _named(path: Path, target: Path) -> str | None:
    """The policy as the file must name it, where its own name means another."""
    from policy_engine.testing.files import tested

    if [each.resolve() for each in tested(target, ())] == [path.resolve()]:
        return None
    return "." if path.is_dir() else path.name

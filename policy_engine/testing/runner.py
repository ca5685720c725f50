"""Runs test files: which cases are wanted, what came of each. One runner for the command line and for Python."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from policy_engine.testing.cases import Case, Result
from policy_engine.testing.files import TestFile


class BadExpression(ValueError):
    """A `-k` expression that cannot be read. Its text says why."""


@dataclass(slots=True)
class FileRun:
    """What came of one file. A file with mistakes has no results and did not pass."""

    file: TestFile
    results: tuple[Result, ...] = ()

    @property
    def broken(self) -> bool:
        return self.file.policy is None

    @property
    def failed(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.passed)


@dataclass(slots=True)
class Run:
    """What came of a whole run. `left_out` cases did not match the expression."""

    files: list[FileRun] = field(default_factory=list)
    left_out: int = 0
    seconds: float = 0.0

    @property
    def results(self) -> list[Result]:
        return [result for file in self.files for result in file.results]

    @property
    def failed(self) -> list[Result]:
        return [result for file in self.files for result in file.failed]

    @property
    def broken(self) -> list[TestFile]:
        return [file.file for file in self.files if file.broken]

    @property
    def passed(self) -> bool:
        """Whether something ran, all of it passed, and nothing was unreadable."""
        return bool(self.results) and not self.failed and not self.broken


def run(files: Iterable[TestFile], wanted: Callable[[Case], bool] | None = None) -> Run:
    """Run every wanted case of every file."""
    begun = time.perf_counter()
    done = Run()
    for file in files:
        here = FileRun(file)
        policy = file.policy
        if policy is not None:
            cases = [case for case in file.cases if wanted is None or wanted(case)]
            done.left_out += len(file.cases) - len(cases)
            here.results = tuple(_timed(case, file) for case in cases)
        if here.results or here.broken:
            done.files.append(here)
    done.seconds = time.perf_counter() - begun
    return done


def _timed(case: Case, file: TestFile) -> Result:
    assert file.policy is not None  # noqa: S101 - asked before
    begun = time.perf_counter()
    result = case.run(file.policy)
    return replace(result, seconds=time.perf_counter() - begun)


# ---------------------------------------------------------------- which cases

_TOKEN = re.compile(r"\s*(?:(\(|\))|\"([^\"]*)\"|'([^']*)'|([^\s()]+))")
_Test = Callable[[str], bool]


MAX_WORDS = 100
"""How long an expression may be; brackets in brackets would else have no end."""


def matching(expression: str) -> Callable[[Case], bool]:
    """Cases whose name or file has the words of an expression: `premium and not (refund or "left out")`.

    Case does not matter. Raises `BadExpression`.
    """
    tokens = [_Token(found) for found in _TOKEN.finditer(expression)]
    if not tokens:
        raise BadExpression("it is empty")
    if len(tokens) > MAX_WORDS:
        raise BadExpression(f"it has more than {MAX_WORDS} words and signs")
    test, rest = _either(tokens)
    if rest:
        raise BadExpression(f"`{rest[0].text}` makes no sense there")
    return lambda case: test(f"{case.file.name} {case.name}".lower())


@dataclass(frozen=True, slots=True, init=False)
class _Token:
    text: str
    quoted: bool

    def __init__(self, found: re.Match[str]) -> None:
        sign, double, single, word = found.groups()
        object.__setattr__(self, "quoted", double is not None or single is not None)
        object.__setattr__(self, "text", next(t for t in (sign, double, single, word) if t is not None))

    def says(self, *words: str) -> bool:
        return not self.quoted and self.text.lower() in words


def _either(tokens: Sequence[_Token]) -> tuple[_Test, Sequence[_Token]]:
    left, rest = _both(tokens)
    while rest and rest[0].says("or"):
        right, rest = _both(rest[1:])
        left = _or(left, right)
    return left, rest


def _both(tokens: Sequence[_Token]) -> tuple[_Test, Sequence[_Token]]:
    left, rest = _single(tokens)
    while rest and not rest[0].says("or", ")"):
        right, rest = _single(rest[1:] if rest[0].says("and") else rest)
        left = _and(left, right)
    return left, rest


def _single(tokens: Sequence[_Token]) -> tuple[_Test, Sequence[_Token]]:
    if not tokens:
        raise BadExpression("something is missing at its end")
    head, *rest = tokens
    if head.says("not"):
        part, after = _single(rest)
        return (lambda text: not part(text)), after
    if head.says("("):
        part, after = _either(rest)
        if not after or not after[0].says(")"):
            raise BadExpression("a bracket is not closed")
        return part, after[1:]
    if head.says(")", "and", "or"):
        raise BadExpression(f"`{head.text}` makes no sense there")
    word = head.text.lower()
    return (lambda text: word in text), rest


def _or(left: _Test, right: _Test) -> _Test:
    return lambda text: left(text) or right(text)


def _and(left: _Test, right: _Test) -> _Test:
    return lambda text: left(text) and right(text)

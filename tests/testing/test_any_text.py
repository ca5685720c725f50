"""Whatever stands in a test file: mistakes with places, or cases that run. Never a traceback."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import policy_engine
from policy_engine.language.source import Source
from policy_engine.policy import Policy
from policy_engine.testing.explanation import explain
from policy_engine.testing.files import Loaded, read_source
from tests.generators.settings import examples

SUPPORT = Path(__file__).parents[2] / "policies" / "customer_support"
PATH = SUPPORT / "customer_support.policytest.yaml"
TEXT = PATH.read_text(encoding="utf-8")
POLICY: Policy = policy_engine.load(SUPPORT)
LOADED: Loaded = {(SUPPORT,): POLICY}
PIECES = (
    *"[]{}:,-~#'\"&*!|>%@`= \n\t",
    "\n  ",
    " => ",
    "none",
    "unknown",
    "true",
    "0",
    "-1",
    "1e3",
    "99999999999999999999",
    "$0.30",
    "€1",
    "90s",
    "[]",
    "{}",
    "~",
    "like: ticket",
    "expect:",
    "allow",
    "premium",
    "draft_cap",
    "timeout",
    "again",
)


def tried(text: str) -> None:
    """Read and run, and everything that would be said about it."""
    file = read_source(Source(PATH.as_posix(), text), PATH, LOADED)
    for item in file.diagnostics:
        assert 0 <= item.span.start <= len(text)
        str(item)
    assert file.diagnostics or file.cases, "a file says what it tests, or why it tests nothing"
    for case in file.cases:
        explain(case.run(POLICY), None)


@examples(150)
@given(st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, 30), st.sampled_from(("", *PIECES))), max_size=4))
def test_a_test_file_with_slips(edits: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    tried(text)


@examples(100)
@given(st.data())
def test_a_test_file_with_another_value(data: st.DataObject) -> None:
    """One value in the place of another: what is written is YAML, and mostly makes no sense."""
    lines = TEXT.split("\n")
    at = data.draw(st.sampled_from([number for number, line in enumerate(lines) if ": " in line and "#" not in line]))
    key, _, _ = lines[at].partition(": ")
    lines[at] = f"{key}: {data.draw(st.sampled_from(PIECES))}"
    tried("\n".join(lines))


@examples(50)
@given(st.permutations(range(TEXT.count("\n"))), st.integers(1, 12))
def test_a_test_file_with_lines_left_out(order: list[int], count: int) -> None:
    gone = set(order[:count])
    tried("\n".join(line for number, line in enumerate(TEXT.split("\n")) if number not in gone))

"""The compiled evaluator gives the reference's decisions: a hundred thousand cases, and each that ever differed."""

import json
from pathlib import Path

import pytest

from policy_engine.policy import load
from tests.evaluation.differential import POINTS, Report, base_seed, point_of, run
from tests.evaluation.kept import from_plain, to_plain
from tests.evaluation.shrinking import disagreement, keep, shrunk
from tests.generators.drafts import prices_of

CORPUS = Path(__file__).parents[1] / "corpus" / "differential"
CASES = 100_000

ANSWERED = 0.5
"""The least share of every point's decisions that generated code must answer: the fallback agrees with itself."""


@pytest.fixture(scope="module")
def report() -> Report:
    return run(base_seed(), CASES)


def test_compiled_decisions_are_the_references(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nPOLICY_ENGINE_SEED={base_seed()}: {report}")
    if report.difference is not None:
        small = shrunk(report.difference)
        pytest.fail(f"{small}\nkept as {keep(small, CORPUS)}", pytrace=False)
    assert report.cases >= CASES


@pytest.mark.parametrize("point", [*POINTS, "guard.attempt", "guard.progress"])
def test_compiled_code_answers_most_of_them(report: Report, point: str) -> None:
    assert report.share(point) >= ANSWERED


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_what_differed_once_is_equal(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    text = "\n".join(case["policy"]) + "\n"
    checked = load(text, prices=prices_of(text)).checked
    point = point_of(case["point"])
    assert to_plain(checked, from_plain(checked, point, case["facts"])) == case["facts"]  # the case still says it all
    assert disagreement(text, case["point"], case["facts"]) is None

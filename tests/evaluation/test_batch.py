"""Many decisions at once are the decisions that each row would get alone."""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from policy_engine.evaluation import batch
from policy_engine.evaluation.batch.rows import plain
from policy_engine.evaluation.facts import FactError
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy, load
from tests.evaluation.columns import table
from tests.generators.drafts import loaded
from tests.generators.facts import Asking
from tests.generators.picking import SeededPick
from tests.generators.policies import Shape, generated

ROWS = 60
POINTS = ("attempt", "progress", "failure")


@pytest.fixture(autouse=True)
def _even_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group is worked out in columns, however small."""
    monkeypatch.setattr(batch, "FEW", 0)


def one_by_one(policy: Policy, point: str, records: list[Any]) -> list[dict[str, Any]]:
    shape = batch._shape(policy.checked, Point(point))
    numbers = tuple(name for name in (*shape.words, *shape.numbers) if name not in ("effect", "reason"))
    return [plain(getattr(policy.evaluator, point)(record), numbers) for record in records]


def check(policy: Policy, point: str, records: list[Any], text: str = "") -> None:
    frame = table(policy.checked, records)
    try:
        expected = one_by_one(policy, point, records)
    except FactError as error:
        with pytest.raises(FactError) as raised:
            policy.decide_many(point, frame)
        assert raised.value.name == error.name
        return
    decided = policy.decide_many(point, frame)
    assert decided.height == len(records)
    for row, (found, alone) in enumerate(zip(decided.iter_rows(named=True), expected, strict=True)):
        assert found == alone, f"row {row}: {records[row]}\n{text}"


def asked(seed: int, point: str, *, missing: bool = False) -> tuple[Policy, str, list[Any]]:
    pick = SeededPick(seed)
    text = generated(pick, Shape()).text
    policy = loaded(text)
    asking = Asking(pick, policy, text, unknown=seed % 3 != 0, missing=missing)
    return policy, text, [getattr(asking, point)() for _ in range(ROWS)]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", range(60))
def test_rows_are_decided_as_alone(point: str, seed: int) -> None:
    policy, text, records = asked(seed, point)
    check(policy, point, records, text)

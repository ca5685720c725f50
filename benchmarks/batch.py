"""A million decisions of the dozen-rule set as columns, against the same decisions one by one.

python -m benchmarks.batch
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import polars as pl

from benchmarks import dozen
from benchmarks.cases import facts_of
from benchmarks.entries import attempt_entries
from benchmarks.timing import interleaved, loop, ratio, surroundings, table, verdict
from policy_engine.evaluation.meters import every_meter
from policy_engine.policy import DEFAULT_ENGINE, Policy

ROWS = 1_000_000
SAMPLE = 20_000
ROUNDS = 7
POINTS = ("attempt", "progress", "failure", "settle")
GOAL = 10.0
PROMISED = "attempt"
"""The point that carries the goal; the others are shown beside it."""


def columns_of(policy: Policy, point: str, records: list[Any]) -> pl.DataFrame:
    """The records as columns: texts as dictionaries, as in a Parquet or Arrow file."""
    apart = ("given", "meters", "escrow", "retries")
    found = {name: [getattr(each, name) for each in records] for name in type(records[0]).__struct_fields__}
    found = {name: values for name, values in found.items() if name not in apart}
    if point != "settle":
        found |= {name: [getattr(each.given, name) for each in records] for name in policy.checked.facts}
        read = [meter for meter in every_meter(policy.checked) if meter in records[0].meters]
        for meter in read:
            found[str(meter)] = [each.meters[meter].settled for each in records]
            found[f"{meter} reserved"] = [each.meters[meter].reserved for each in records]
    if point == "failure":
        classes = sorted({error for each in records for error in each.retries})
        found["retries"] = [{name: each.retries.get(name, 0) for name in classes} for each in records]
        found["visited"] = [list(each.visited) for each in records]
    return pl.DataFrame(found).with_columns(pl.col(pl.String).cast(pl.Categorical))


def repeated(frame: pl.DataFrame, rows: int) -> pl.DataFrame:
    return pl.concat([frame] * (rows // frame.height)).rechunk()


def agree(policy: Policy, point: str, records: list[Any], decided: pl.DataFrame) -> None:
    """The same effects, reasons and rules, row by row."""
    for row, record in zip(decided.iter_rows(named=True), records, strict=True):
        alone = getattr(policy, point)(record)
        rules = [said.rule.name for said in alone.rulings]
        assert (row["effect"], row["reason"], row["rules"]) == (alone.effect, alone.reason, rules)  # noqa: S101 - what is compared is the same


def row_of(policy: Policy, point: str) -> list[str]:
    records = facts_of(point, SAMPLE)
    few = columns_of(policy, point, records)
    agree(policy, point, records, policy.decide_many(point, few))
    many = repeated(few, ROWS)
    plain = many.with_columns(pl.col(pl.Categorical).cast(pl.String))
    subjects: dict[str, Callable[[], object]] = {
        "alone": loop(getattr(policy, point), records),
        "columns": lambda: policy.decide_many(point, many),
        "texts": lambda: policy.decide_many(point, plain),
    }
    if point == PROMISED:
        entries = [attempt_entries(record) for record in records]
        subjects["checked"] = loop(policy.attempt, entries)
    times = interleaved(subjects, SAMPLE, rounds=ROUNDS, clock=time.perf_counter_ns)
    whole = {name: ROWS if name in ("alone", "checked") else SAMPLE for name in times}
    spent = {name: [each * whole[name] for each in rounds] for name, rounds in times.items()}
    found = {name: ratio(spent, "alone", name) for name in ("columns", "texts")}
    checked = ratio(spent, "checked", "columns") if "checked" in spent else None
    promised = point == PROMISED
    return [
        f"`{point}`",
        f"{median(spent['alone']) / 1e6:,.0f} ms",
        f"{median(spent['columns']) / 1e6:,.0f} ms",
        f"{found['columns']:.1f} ×",
        f"≥ {GOAL:.0f} ×" if promised else "–",
        verdict(found["columns"], least=GOAL) if promised else "–",
        f"{found['texts']:.1f} ×",
        "–" if checked is None else f"{checked:.1f} ×",
    ]


def main() -> None:
    engine = DEFAULT_ENGINE
    policy = dozen.policy(engine)
    print(f"{surroundings('policy_engine', 'polars')}, {pl.thread_pool_size()} threads; engine `{engine}`")
    print(f"{ROWS:,} rows. One by one: {SAMPLE:,} records that are there already and checked by nobody, scaled.\n")
    heads = [
        "point",
        "one by one",
        "`decide_many`",
        "faster",
        "goal",
        "",
        "columns of plain texts",
        "than mappings, checked too",
    ]
    print(table(heads, [row_of(policy, point) for point in POINTS]))


if __name__ == "__main__":
    main()

"""The dozen-rule set at each decision point: compiled, by hand and by the reference.

python -m benchmarks.decisions
"""

from dataclasses import fields
from typing import Any

from benchmarks import dozen, plain, yardstick
from benchmarks.cases import GIVEN, facts_of
from benchmarks.entries import attempt_entries
from benchmarks.timing import Rounds, interleaved, loop, nanos, ratio, spread, surroundings, table, verdict
from policy_engine.evaluation.facts import AttemptFacts
from policy_engine.evaluation.guard import BoundTo
from policy_engine.policy import Policy

CASES = 1_000
POINTS = ("admit", "attempt", "progress", "failure", "settle")
ENGINE = "compiled"
BEST_GOAL, PLAIN_GOAL, BOUND_GOAL, DICT_GOAL = 1.1, 0.6, 1.5, 3.0


def point_times(policy: Policy, point: str) -> Rounds:
    """The evaluator's answer, the policy's own method, both hand-written functions and the reference."""
    facts = facts_of(point, CASES)
    subjects = {
        "best": getattr(yardstick, f"best_{point}"),
        "plain": getattr(plain, f"plain_{point}"),
        "engine": getattr(policy.evaluator, point),
        "policy": getattr(policy, point),
        "reference": getattr(dozen.policy("reference").evaluator, point),
    }
    return interleaved({name: loop(decide, facts) for name, decide in subjects.items()}, CASES)


def points_table(policy: Policy) -> str:
    rows = []
    for point in POINTS:
        times = point_times(policy, point)
        best, plainly = ratio(times, "engine", "best"), ratio(times, "engine", "plain")
        rows.append(
            [
                f"`{point}`",
                nanos(times["best"]),
                nanos(times["plain"]),
                nanos(times["engine"]),
                f"{best:.2f}",
                verdict(best, BEST_GOAL),
                f"{plainly:.2f}",
                verdict(plainly, PLAIN_GOAL),
                f"{ratio(times, 'policy', 'best'):.2f}",
                f"{ratio(times, 'reference', 'engine'):.0f} ×",
            ]
        )
    heads = ["point", "best by hand", "plain by hand", ENGINE]
    heads += [
        f"/ best ≤ {BEST_GOAL}",
        "",
        f"/ plain ≤ {PLAIN_GOAL}",
        "",
        "`policy.…(record)` / best",
        "reference takes",
    ]
    return table(heads, rows)


def bound_rows(policy: Policy) -> list[list[str]]:
    """A guard bound to one execution against the function one would write for it."""
    given = GIVEN(**yardstick.BOUND_GIVEN)
    fixed: dict[str, Any] = {**yardstick.BOUND, "given": given, "price_nanos": yardstick.BOUND_PRICE_NANOS}
    facts = facts_of("attempt", CASES, **fixed)
    arguments = [bound_arguments(record) for record in facts]
    decide = policy.guard(bound_to(facts[0])).attempt
    for record, asked in zip(facts, arguments, strict=True):
        assert decide(*asked) == policy.attempt(record)  # noqa: S101 - the same question
    subjects = {"by hand": spread(yardstick.best_bound_attempt, arguments), "bound": spread(decide, arguments)}
    times = interleaved(subjects, CASES)
    found = ratio(times, "bound", "by hand")
    return [
        [
            "bound `attempt` / function of the same arguments",
            nanos(times["by hand"]),
            nanos(times["bound"]),
            f"{found:.2f}",
            f"≤ {BOUND_GOAL}",
            verdict(found, BOUND_GOAL),
        ]
    ]


def bound_arguments(facts: AttemptFacts) -> tuple[Any, ...]:
    """What a bound guard's `attempt` is asked with."""
    return (
        facts.meters,
        facts.input_tokens,
        facts.max_output_tokens,
        facts.min_output_tokens,
        facts.estimate_nanos,
        facts.attempt,
        facts.failures,
        facts.elapsed_micros,
        facts.step_elapsed_micros,
    )


def bound_to(facts: AttemptFacts) -> BoundTo:
    """What is fixed for the execution that asks this."""
    return BoundTo(**{field.name: getattr(facts, field.name) for field in fields(BoundTo)})


def dict_rows(policy: Policy) -> list[list[str]]:
    """The same question as a caller's mapping, validated, against the slotted call."""
    facts = facts_of("attempt", CASES)
    mappings = [attempt_entries(record) for record in facts]
    for record, mapping in zip(facts, mappings, strict=True):
        assert policy.attempt(mapping) == policy.attempt(record)  # noqa: S101 - the same question
    subjects = {"slotted": loop(policy.attempt, facts), "mapping": loop(policy.attempt, mappings)}
    times = interleaved(subjects, CASES)
    found = ratio(times, "mapping", "slotted")
    return [
        [
            "`policy.attempt(mapping)` / `policy.attempt(record)`",
            nanos(times["slotted"]),
            nanos(times["mapping"]),
            f"{found:.2f}",
            f"≤ {DICT_GOAL:.0f}",
            verdict(found, DICT_GOAL),
        ]
    ]


def main() -> None:
    policy = dozen.policy(ENGINE)
    print(f"{surroundings('policy_engine', 'msgspec')}; engine `{ENGINE}`\n")
    print(points_table(policy), end="\n\n")
    rows = [*bound_rows(policy), *dict_rows(policy)]
    print(table(["what", "yardstick", "measured", "ratio", "goal", ""], rows))


if __name__ == "__main__":
    main()

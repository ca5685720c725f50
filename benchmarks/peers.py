"""The attempt decision of the dozen-rule set by other engines that Python can call: same rules, same answer.

    python -m benchmarks.peers

Each peer gets what suits it best: rules compiled or parsed before, one flat context per question, made before and
not counted. Two rows without a goal show the forms in which rules are commonly kept: ZEN's decision graph, Cedar's
text. Asked is the whole answer: effect, every rule that decides with its numbers, alert, shadow verdict, what to
reserve and how long it may take. Cedar can name the refusing rules only; that much is compared. Left out for all of
them are shrinking caps and estimates stated by the caller. The engine is asked with a facts record.
"""

import json
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from benchmarks import dozen
from benchmarks.cases import facts_of
from benchmarks.timing import Rounds, interleaved, loop, nanos, ratio, surroundings, table, verdict
from policy_engine.evaluation.decision import AttemptDecision
from policy_engine.evaluation.facts import AttemptFacts
from policy_engine.language.checked import ATTEMPTS, SPENT

CASES = 1_000
GOALS = {"zen-engine": 20, "common-expression-language": 20, "cedarpy": 200}

NAMES = {
    "route_ceiling": (dozen.MINI_CEILING, dozen.SONNET_CEILING, dozen.OPUS_CEILING),
    "budget": (dozen.BUDGET,),
    "margin": (dozen.MARGIN,),
    "most_attempts": (dozen.MOST_ATTEMPTS,),
    "most_time": (dozen.MOST_TIME,),
    "shadow": (dozen.SHADOW,),
}
SHORT = {ref: name for name, refs in NAMES.items() for ref in refs}
ROLES = {"decides": "", "alert": " alert", "passes": " passes", "refuses": " refuses"}

Row = tuple[str, int, int, int | None]
"""A rule in its role, its limit, what is used, what is asked."""

Answer = tuple[bool, tuple[Row, ...], int | None, int | None, int | None]
"""Go or not, what decided, and of a go: the amount and tokens to reserve, the time left."""


def peer(module: str) -> Any:
    """A peer's module, or an error that says how to get it."""
    try:
        return import_module(module)
    except ImportError:
        raise SystemExit(f"`{module}` is not installed; the extra `bench` has it: pip install -e '.[bench]'") from None


def context(facts: AttemptFacts) -> dict[str, Any]:
    """The question as one flat mapping of numbers and words."""
    used = {meter: reading.used for meter, reading in facts.meters.items() if reading is not None}
    return {
        "route": facts.route,
        "risk": facts.given.risk,  # type: ignore[attr-defined]  # a slot of this policy
        "input_tokens": facts.input_tokens,
        "cap": facts.max_output_tokens,
        "spent": used[SPENT],
        "today": used[dozen.SUPPORT_PER_DAY],
        "made": used[ATTEMPTS],
        "price": facts.price_nanos,
        "elapsed": facts.elapsed_micros,
    }


def own_answer(decision: AttemptDecision) -> Answer:
    """A decision in the words that are compared."""
    rows: list[Any] = [(SHORT[part.rule] + ROLES[part.role], *numbers) for part, *numbers in decision.lines]
    return (
        decision.permits,
        tuple(rows),
        decision.reserved_nanos,
        decision.reserved_tokens,
        decision.deadline_micros,
    )


def read_answer(found: Mapping[str, Any]) -> Answer:
    """The same of what a peer answers: a mapping, whole numbers perhaps as another type."""
    rows: list[Any] = [(name, *(_whole(number) for number in numbers)) for name, *numbers in found["rows"]]
    amounts = (found["nanos"], found["tokens"], found.get("deadline")) if found["go"] else (None, None, None)
    nanos_, tokens, deadline = (_whole(number) for number in amounts)
    return bool(found["go"]), tuple(rows), nanos_, tokens, deadline


def _whole(number: Any) -> int | None:
    return None if number is None else int(number)


# ---------------------------------------------------------------- zen-engine

# One expression: its decision graphs take thirty times as long. `map` over one element names it `#`, which is NANOS.
ZEN = """map([
  route == "mini" ? 150 * input_tokens + 600 * cap :
  route == "sonnet" ? 3000 * input_tokens + 15000 * cap : 15000 * input_tokens + 75000 * cap
], NANOS <= CEILING and today + NANOS <= 20000000000 and spent + NANOS <= MARGIN and made < 6 and
  (risk == "high" or elapsed < 90000000) ? {
    go: true,
    rows: filter([
      risk != "high" ? ["most_time", 90000000, elapsed, null] : null,
      today < 16000000000 and 16000000000 <= today + NANOS ? ["budget alert", 20000000000, today, NANOS] : null,
      SHADOW
    ], # != null),
    nanos: NANOS,
    tokens: input_tokens + cap,
    deadline: risk != "high" ? 90000000 - elapsed : null
  } : {
    go: false,
    rows: filter([
      NANOS > CEILING ? ["route_ceiling", CEILING, 0, NANOS] : null,
      today + NANOS > 20000000000 ? ["budget", 20000000000, today, NANOS] : null,
      spent + NANOS > MARGIN ? ["margin", MARGIN, spent, NANOS] : null,
      made >= 6 ? ["most_attempts", 6, made, 1] : null,
      risk != "high" and elapsed >= 90000000 ? ["most_time", 90000000, elapsed, null] : null,
      SHADOW
    ], # != null)
  }
)[0]"""
ZEN_PARTS = {
    "SHADOW": '[spent + NANOS > 200000000 ? "shadow refuses" : "shadow passes", 200000000, spent, NANOS]',
    "CEILING": '(route == "mini" ? 20000000 : route == "sonnet" ? 120000000 : 250000000)',
    "MARGIN": "floor(price * 55 / 100)",
    "NANOS": "#",
}


Peer = tuple[Callable[[Any], Any], Callable[[Any], Answer]]
"""How a peer is asked, and how its answer is read."""


def zen_text() -> str:
    text = " ".join(ZEN.split())
    for name, part in ZEN_PARTS.items():
        text = text.replace(name, part)
    return text


def zen() -> Peer:
    return peer("zen").compile_expression(zen_text()).evaluate, read_answer


def zen_graph() -> Peer:
    """The same expression as the one node of a decision graph."""
    module = peer("zen")
    lines = [{"id": "answer", "key": "answer", "value": zen_text()}]
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in"},
        {"id": "rules", "type": "expressionNode", "name": "rules", "content": {"expressions": lines}},
        {"id": "out", "type": "outputNode", "name": "out"},
    ]
    ways = [("in", "rules"), ("rules", "out")]
    edges = [{"id": f"{a}-{b}", "type": "edge", "sourceId": a, "targetId": b} for a, b in ways]
    content = module.ZenDecisionContent(json.dumps({"nodes": nodes, "edges": edges}))
    decision = module.ZenEngine().create_decision(content)
    return decision.evaluate, lambda found: read_answer(found["result"]["answer"])


# ---------------------------------------------------------------- common-expression-language

CEL = """[
  route == "mini" ? 150 * input_tokens + 600 * cap :
  route == "sonnet" ? 3000 * input_tokens + 15000 * cap : 15000 * input_tokens + 75000 * cap
].map(nanos, [[
  (nanos > (route == "mini" ? 20000000 : route == "sonnet" ? 120000000 : 250000000) ? [["route_ceiling",
    route == "mini" ? 20000000 : route == "sonnet" ? 120000000 : 250000000, 0, nanos]] : []) +
  (today + nanos > 20000000000 ? [["budget", 20000000000, today, nanos]] : []) +
  (spent + nanos > price * 55 / 100 ? [["margin", price * 55 / 100, spent, nanos]] : []) +
  (made >= 6 ? [["most_attempts", 6, made, 1]] : []) +
  (risk != "high" && elapsed >= 90000000 ? [["most_time", 90000000, elapsed, null]] : [])
].map(refusing, {
  "go": size(refusing) == 0,
  "rows": (size(refusing) > 0 ? refusing :
      (risk != "high" ? [["most_time", 90000000, elapsed, null]] : []) +
      (today < 16000000000 && 16000000000 <= today + nanos ? [["budget alert", 20000000000, today, nanos]] : [])) +
    [[spent + nanos > 200000000 ? "shadow refuses" : "shadow passes", 200000000, spent, nanos]],
  "nanos": nanos,
  "tokens": input_tokens + cap,
  "deadline": risk != "high" ? 90000000 - elapsed : null
})[0]])[0][0]"""


def cel() -> Peer:
    return peer("cel").compile(CEL).execute, read_answer


# ---------------------------------------------------------------- cedarpy

CEDAR_RATES = {
    "mini": (150, 600, 20_000_000),
    "sonnet": (3_000, 15_000, 120_000_000),
    "opus": (15_000, 75_000, 250_000_000),
}


def cedar_policies() -> str:
    """One `forbid` per ceiling and route: Cedar has no names for intermediate values."""
    found = ["permit (principal, action, resource);"]
    for route, (sent, received, ceiling) in CEDAR_RATES.items():
        amount = f"(context.input_tokens * {sent} + context.cap * {received})"
        tests = {
            "route_ceiling": f"{amount} > {ceiling}",
            "budget": f"context.today + {amount} > 20000000000",
            "margin": f"(context.spent + {amount}) * 100 > context.price * 55",
        }
        found += [
            f'@id("{name} {route}") forbid (principal, action, resource == Route::"{route}") when {{ {test} }};'
            for name, test in tests.items()
        ]
    tests = {
        "most_attempts": "context.made >= 6",
        "most_time": 'context.risk != "high" && context.elapsed >= 90000000',
    }
    found += [f'@id("{name}") forbid (principal, action, resource) when {{ {test} }};' for name, test in tests.items()]
    return "\n".join(found)


def cedar() -> Peer:
    module = peer("cedarpy")
    return _cedar(module, module.PolicySet.from_str(cedar_policies()), module.Entities.from_json_str("[]"))


def cedar_from_text() -> Peer:
    """Policies and entities as text, read at each call."""
    return _cedar(peer("cedarpy"), cedar_policies(), "[]")


def _cedar(module: Any, policies: Any, entities: Any) -> Peer:
    order = list(NAMES)

    def decide(question: Mapping[str, Any]) -> Any:
        return module.is_authorized(question, policies, entities)

    def answer(found: Any) -> Answer:
        ids = found.diagnostics.id_annotations_by_reason.values()
        rules = sorted({name.split()[0] for name in ids if name}, key=order.index)
        rows = () if found.allowed else tuple((name, 0, 0, 0) for name in rules)
        return bool(found.allowed), rows, None, None, None

    return decide, answer


def cedar_request(flat: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in flat.items() if name != "route"}
    return {
        "principal": 'User::"acme"',
        "action": 'Action::"attempt"',
        "resource": f'Route::"{flat["route"]}"',
        "context": rest,
    }


# ---------------------------------------------------------------- the table

PEERS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "zen-engine": (zen, dict),
    "common-expression-language": (cel, dict),
    "cedarpy": (cedar, cedar_request),
    "zen-engine, a decision graph": (zen_graph, dict),
    "cedarpy, policies as text": (cedar_from_text, cedar_request),
}


def agreed(name: str, expected: Answer, found: Answer) -> None:
    """Raise where a peer's answer is another one."""
    if name.startswith("cedarpy"):  # names of refusing rules are all it can say
        refusing = [row[0] for row in expected[1] if " " not in row[0]] if not expected[0] else []
        same = found[0] == expected[0] and [row[0] for row in found[1]] == refusing
    else:
        same = found == expected
    if not same:
        raise AssertionError(f"{name} answers {found}, expected {expected}")


def main() -> None:
    policy = dozen.policy("compiled")
    facts = facts_of("attempt", CASES, min_output_tokens=None, estimate_nanos=None)
    decide = policy.evaluator.attempt
    subjects = {"policy_engine": loop(decide, facts)}
    for name, (make, shaped) in PEERS.items():
        ask, read = make()
        questions = [shaped(context(record)) for record in facts]
        for record, question in zip(facts, questions, strict=True):
            agreed(name, own_answer(decide(record)), read(ask(question)))
        subjects[name] = loop(ask, questions)
    times: Rounds = interleaved(subjects, CASES, clock=time.process_time_ns)
    rows = [["policy_engine", nanos(times["policy_engine"]), "1", "", ""]]
    for name in PEERS:
        goal = GOALS.get(name)
        found = ratio(times, name, "policy_engine")
        told = f"≥ {goal} ×" if goal else ""
        rows.append([name, nanos(times[name]), f"{found:.0f} ×", told, verdict(found, least=goal)])
    print(f"{surroundings('policy_engine', *GOALS)}\n")
    print(table(["engine", "one attempt", "takes", "goal", ""], rows))


if __name__ == "__main__":
    main()

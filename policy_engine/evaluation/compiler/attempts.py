"""`attempt` and `progress` as generated functions, free or bound to one execution.

A free function takes the facts record. A bound one is made by a function that takes what is
fixed for an execution (its facts, its price) and returns a function of the rest.
"""

import ast

from policy_engine.evaluation.compiler.index import Who
from policy_engine.evaluation.compiler.quoting import branch, constant, either, expression, name, row, statements
from policy_engine.evaluation.compiler.refusals import cut, tight, tightest_time
from policy_engine.evaluation.compiler.running import Access, Writer, cost, go, joined
from policy_engine.evaluation.compiler.shapes import Shapes, Written
from policy_engine.evaluation.decision import Digests, Head, ProgressDecision
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.vocabulary import Point

ATTEMPT_ARGUMENTS = (
    "meters",
    "input_tokens",
    "max_output_tokens",
    "min_output_tokens",
    "estimate_nanos",
    "attempt",
    "failures",
    "elapsed_micros",
    "step_elapsed_micros",
)
"""What a bound `attempt` is asked with; a bound `progress` takes `PROGRESS_ARGUMENTS`."""

PROGRESS_ARGUMENTS = (
    "meters",
    "input_tokens",
    "output_tokens",
    "output_cap",
    "estimate_nanos",
    "attempt",
    "failures",
    "elapsed_micros",
    "step_elapsed_micros",
    "attempt_elapsed_micros",
)


def attempt(policy: CheckedPolicy, digests: Digests, who: Who, shapes: Shapes, *, bound: bool = False) -> Written:
    """The attempt function of one (outcome, plan, lane, route, customer)."""
    writer = Writer(policy, digests, who, Point.ATTEMPT, Access(bound, ATTEMPT_ARGUMENTS), shapes)
    reader, ceilings = writer.reader, writer.ceilings
    asked, tokens = name("asked"), name("tokens")
    reader.body += _amounts(writer)

    crossing = [ceilings.crossed(ceiling, asked, tokens) for ceiling in writer.enforced]
    alerts = [alert for ceiling in writer.enforced for alert in ceilings.alerts(ceiling, asked, tokens)]
    timed = [ceiling for ceiling in writer.enforced if ceiling.rule.quantity == "elapsed"]
    verdicts = ceilings.verdicts(writer.shadowed, asked, tokens)

    body: list[ast.stmt] = []
    if crossing:
        body.append(branch(either(crossing), tight(writer, timed)))
    timing: list[tuple[list[ast.expr], ast.expr, ast.expr]] = [([], row([]), constant(None))]
    if len(timed) == 1:
        rule = timed[0].rule
        left = expression("L - U", L=ceilings.limit(rule), U=ceilings.used(rule))
        line = row([ceilings.line(rule, "decides", asked, tokens)])
        condition = ceilings.condition(timed[0])
        timing = [(condition, line, left), *timing] if condition else [([], line, left)]
    elif timed:
        body += tightest_time(timed, ceilings)
        timing = [([], name("lines"), name("deadline"))]
    for condition, lines, deadline in timing:
        ways = _ways_togo(writer, alerts, lines, verdicts, deadline)
        body += [branch(condition[0], ways)] if condition else ways
    return writer.finish("attempt", body)


def _ways_togo(
    writer: Writer,
    alerts: list[tuple[ast.expr, ast.expr]],
    lines: ast.expr,
    verdicts: ast.expr | None,
    deadline: ast.expr,
) -> list[ast.stmt]:
    """Go, with the alerts that fire or with none."""
    cap = name("max_output_tokens")
    body: list[ast.stmt] = []
    if len(alerts) == 1:
        test, line = alerts[0]
        told = joined(joined(lines, row([line])), verdicts)
        body.append(branch(test, [go(writer, "go", None, told, cap, deadline)]))
    elif alerts:
        fired = [branch(test, statements("fired += (LINE,)", LINE=line)) for test, line in alerts]
        told = joined(ast.BinOp(lines, ast.Add(), name("fired")), verdicts)
        inside = [*statements("fired = ()"), *fired, go(writer, "go", None, told, cap, deadline)]
        body.append(branch(either([test for test, _ in alerts]), inside))
    return [*body, go(writer, "go", None, joined(lines, verdicts), cap, deadline)]


def progress(policy: CheckedPolicy, digests: Digests, who: Who, shapes: Shapes, *, bound: bool = False) -> Written:
    """The progress function of one (outcome, plan, lane, route, customer)."""
    writer = Writer(policy, digests, who, Point.PROGRESS, Access(bound, PROGRESS_ARGUMENTS), shapes)
    reader, ceilings = writer.reader, writer.ceilings
    asked, tokens = name("asked"), name("tokens")
    reader.body += _streamed(writer)
    over = expression("C is not None and O > C", C=writer.local("output_cap"), O=name("output_tokens"))
    crossing = [ceilings.crossed(ceiling, asked, tokens) for ceiling in writer.enforced]
    verdicts = ceilings.verdicts(writer.shadowed, asked, tokens)
    body: list[ast.stmt] = [branch(either([over, *crossing]), cut(writer, over, verdicts))]
    if verdicts is None:
        always = ProgressDecision(Head("go", None, policy.currency, digests))
        body.append(ast.Return(writer.namespace.everywhere(always)))
    else:
        decision = expression(
            "DECISION(HEAD, LINES)",
            DECISION=writer.namespace.everywhere(ProgressDecision),
            HEAD=writer.head("go"),
            LINES=verdicts,
        )
        body.append(ast.Return(decision))
    return writer.finish("progress", body)


# ---------------------------------------------------------------- amounts


def _amounts(writer: Writer) -> list[ast.stmt]:
    """`asked` and `tokens` of the worst case; what cannot be known goes to the reference."""
    route, access = writer.route, writer.access
    holes = {
        "SENT": writer.local("input_tokens"),
        "CAP": writer.local("max_output_tokens"),
        "STATED": writer.local("estimate_nanos"),
    }
    unknown = [branch(expression("SENT is None or CAP is None", **holes), access.slow())]
    if route.kind == "tool":
        unknown = []
        tokens = statements("tokens = 0 if SENT is None or CAP is None else SENT + CAP", **holes)
    else:
        tokens = statements("tokens = SENT + CAP", **holes)
    if route.cost_nanos is not None:
        asked = statements(
            "asked = COST if STATED is None else STATED", COST=writer.of_route(route.cost_nanos), **holes
        )
    elif route.rates is not None:
        worst = cost(writer, route.rates, holes["SENT"], holes["CAP"])
        asked = statements("asked = COST if STATED is None else STATED", COST=worst, **holes)
    else:
        asked = [branch(expression("STATED is None", **holes), access.slow()), *statements("asked = STATED", **holes)]
    return [*unknown, *tokens, *asked]


def _streamed(writer: Writer) -> list[ast.stmt]:
    """`asked` and `tokens` of what was streamed so far."""
    route, access = writer.route, writer.access
    holes = {
        "SENT": writer.local("input_tokens"),
        "OUT": writer.local("output_tokens"),
        "STATED": access.field("estimate_nanos"),
    }
    unknown = [branch(expression("SENT is None", **holes), access.slow())]
    if route.kind == "tool":
        unknown = []
        tokens = statements("tokens = 0 if SENT is None else SENT + OUT", **holes)
    else:
        tokens = statements("tokens = SENT + OUT", **holes)
    if route.cost_nanos is not None:
        asked = statements("asked = COST", COST=writer.of_route(route.cost_nanos))
    elif route.rates is not None:
        asked = statements("asked = COST", COST=cost(writer, route.rates, holes["SENT"], holes["OUT"]))
    else:
        asked = [branch(expression("STATED is None", **holes), access.slow()), *statements("asked = STATED", **holes)]
    counted = any(ceiling.rule.quantity == "tokens" for ceiling in writer.enforced + writer.shadowed)
    return [*unknown, *(tokens if counted else []), *asked]

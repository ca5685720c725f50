"""What `attempt` and `progress` answer where something does not fit: refuse, shrink the output cap, cut the stream.

Every rule that decides is named, so these are the long branches of a function; decisions seldom get there.
"""

import ast

from policy_engine.evaluation.compiler.ceilings import Applied, CeilingWriter
from policy_engine.evaluation.compiler.conditions import NotCompiled
from policy_engine.evaluation.compiler.quoting import branch, constant, either, expression, name, row, statements
from policy_engine.evaluation.compiler.running import Writer, cost, go, joined, per_token
from policy_engine.evaluation.decision import AttemptDecision, ProgressDecision
from policy_engine.language.checked import CeilingRule
from policy_engine.language.units import PICOS_PER_NANO


def tight(writer: Writer, timed: list[Applied]) -> list[ast.stmt]:
    """Something does not fit: refuse, naming all that is crossed, or shrink the output cap to what is left."""
    ceilings, enforced = writer.ceilings, writer.enforced
    asked, tokens = name("asked"), name("tokens")
    holes = {"CAP": name("max_output_tokens"), "LEAST": writer.access.field("min_output_tokens")}
    if writer.route.kind == "tool":
        # A tool that is asked for with tokens to spare is left to the reference.
        body: list[ast.stmt] = [branch(expression("LEAST is not None", **holes), writer.access.slow())]
    else:
        body = statements("floor = CAP if LEAST is None or LEAST > CAP else LEAST", **holes)
    body += _with_cap(writer, name("floor"), ("least", "least_tokens"))
    least, least_tokens = name("least"), name("least_tokens")
    body += statements("lines = ()")
    for ceiling in enforced:
        add = statements("lines += (LINE,)", LINE=ceilings.line(ceiling.rule, "decides", least, least_tokens))
        body.append(branch(ceilings.crossed(ceiling, least, least_tokens), add))
    refused = expression(
        "DECISION(HEAD, LINES)",
        DECISION=writer.namespace.everywhere(AttemptDecision),
        HEAD=writer.head("refuse", "over_ceiling"),
        LINES=joined(name("lines"), ceilings.verdicts(writer.shadowed, least, least_tokens)),
    )
    if writer.route.kind == "tool":
        return [*body, ast.Return(refused)]  # a tool has no cap to shrink
    body.append(branch(name("lines"), [ast.Return(refused)]))

    rooms: dict[int, ast.expr] = {}
    for number, ceiling in enumerate(enforced):
        room = _room(writer, ceiling)
        if room is None:
            continue
        whole = (
            room
            if ceiling.condition is None
            else expression(
                "ROOM if C else CAP", ROOM=room, C=ceilings.condition(ceiling)[0], CAP=name("max_output_tokens")
            )
        )
        body.append(ast.Assign([ast.Name(f"room{number}", ast.Store())], whole))
        rooms[number] = name(f"room{number}")
    if not rooms:
        return [*body, *writer.access.slow()]  # what crosses cannot be shrunk, and would have refused
    ceilings.amounts_change = True
    body += statements("cap = LEFT", LEFT=ast.Call(name("min"), [name("max_output_tokens"), *rooms.values()], []))
    body += _with_cap(writer, name("cap"), ("asked", "tokens"))
    alerts = [test for ceiling in enforced for test, _ in ceilings.alerts(ceiling, asked, tokens)]
    if alerts:
        body.append(branch(either(alerts), writer.access.slow()))  # both at once: rare enough
    deadline: ast.expr = constant(None)
    if timed:
        lefts = []
        for number, ceiling in enumerate(timed):
            left = expression("L - U", L=ceilings.limit(ceiling.rule), U=ceilings.used(ceiling.rule))
            if ceiling.condition is not None:
                left = expression("V if C else None", V=left, C=ceilings.condition(ceiling)[0])
            body.append(ast.Assign([ast.Name(f"left{number}", ast.Store())], left))
            lefts.append(name(f"left{number}"))
        body += statements("deadline = SOONEST", SOONEST=writer.namespace.call(soonest, row(lefts)))
        deadline = name("deadline")
    body += statements("lines = ()")
    for number, ceiling in enumerate(enforced):
        add = statements("lines += (LINE,)", LINE=ceilings.line(ceiling.rule, "decides", asked, tokens))
        if number in rooms:
            body.append(branch(expression("ROOM == cap", ROOM=rooms[number]), add))
        elif ceiling in timed:
            left = name(f"left{timed.index(ceiling)}")
            body.append(branch(expression("L is not None and L == deadline", L=left), add))
    shown = joined(name("lines"), ceilings.verdicts(writer.shadowed, asked, tokens))
    ceilings.amounts_change = False
    return [*body, go(writer, "go", "shrunk", shown, name("cap"), deadline)]


def _room(writer: Writer, ceiling: Applied) -> ast.expr | None:
    """The output tokens that a ceiling leaves, if it can be met by fewer of them."""
    rule, ceilings, route = ceiling.rule, writer.ceilings, writer.route
    holes = {"L": ceilings.limit(rule), "U": ceilings.used(rule), "SENT": name("input_tokens")}
    if rule.quantity == "tokens":
        return expression("L - U - SENT", **holes)
    if rule.quantity != "spent" or route.rates is None or route.cost_nanos is not None:
        return None
    if not all(step.output_picos for step in route.rates.steps):
        if any(step.output_picos for step in route.rates.steps):
            raise NotCompiled("output that costs nothing up to so many input tokens")
        return None
    into, out = per_token(writer, route.rates, holes["SENT"])
    return expression(
        "((L - U) * SCALE - IN * SENT) // OUT if STATED is None else CAP",
        SCALE=constant(PICOS_PER_NANO),
        IN=into,
        OUT=out,
        STATED=name("estimate_nanos"),
        CAP=name("max_output_tokens"),
        **holes,
    )


def _with_cap(writer: Writer, cap: ast.expr, into: tuple[str, str]) -> list[ast.stmt]:
    """Money and tokens of the worst case with another cap."""
    route = writer.route
    holes = {"SENT": name("input_tokens"), "CAP": cap, "STATED": name("estimate_nanos")}
    if route.kind == "tool":
        return statements(f"{into[0]} = asked\n{into[1]} = tokens")
    money = statements(f"{into[0]} = asked")
    if route.rates is not None and route.cost_nanos is None:
        worst = cost(writer, route.rates, holes["SENT"], cap)
        money = statements(f"{into[0]} = COST if STATED is None else STATED", COST=worst, **holes)
    return [*money, *statements(f"{into[1]} = SENT + CAP", **holes)]


def soonest(lefts: tuple[int | None, ...]) -> int | None:
    return min((left for left in lefts if left is not None), default=None)


def cut(writer: Writer, over: ast.expr, verdicts: ast.expr | None) -> list[ast.stmt]:
    """The stream ends: past its cap, past its time, or past a ceiling; every crossed rule is named."""
    ceilings = writer.ceilings
    asked, tokens = name("asked"), name("tokens")
    body = statements("lines = ()\nlate = False")
    for ceiling in writer.enforced:
        add = statements("lines += (LINE,)", LINE=ceilings.line(ceiling.rule, "decides", asked, tokens))
        if ceiling.rule.quantity == "elapsed":
            add += statements("late = True")
        body.append(branch(ceilings.crossed(ceiling, asked, tokens), add))
    decision = expression(
        "DECISION(CAP if OVER else LATE if late else HIGH, LINES)",
        DECISION=writer.namespace.everywhere(ProgressDecision),
        OVER=over,
        CAP=writer.head("cut", "output_cap"),
        LATE=writer.head("cut", "deadline"),
        HIGH=writer.head("cut", "over_ceiling"),
        LINES=joined(name("lines"), verdicts),
    )
    return [*body, ast.Return(decision)]


def tightest_time(timed: list[Applied], ceilings: CeilingWriter) -> list[ast.stmt]:
    """`deadline` and `lines` of several time ceilings, or of some that apply to some."""
    nothing = name("None")
    body = statements("deadline = None\nlines = ()")
    for ceiling in timed:
        rule: CeilingRule = ceiling.rule
        left = expression("L - U", L=ceilings.limit(rule), U=ceilings.used(rule))
        line = ceilings.line(rule, "decides", nothing, nothing)
        choose = statements("left = LEFT", LEFT=left)
        choose += statements(
            "if deadline is None or left < deadline:\n"
            "    deadline = left\n"
            "    lines = (LINE,)\n"
            "elif left == deadline:\n"
            "    lines += (LINE,)",
            LINE=line,
        )
        if ceiling.condition is None:
            body += choose
        else:
            body.append(branch(ceilings.condition(ceiling)[0], choose))
    return body

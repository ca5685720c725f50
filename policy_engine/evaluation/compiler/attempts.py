"""`attempt` and `progress` as generated functions, free or bound to one execution.

A free function takes the facts record. A bound one is made by a function that takes what is
fixed for an execution (its facts, its price) and returns a function of the rest.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from policy_engine.evaluation.compiler.ceilings import Applied, CeilingWriter, applied
from policy_engine.evaluation.compiler.conditions import Reader, identity, take_given
from policy_engine.evaluation.compiler.index import Who
from policy_engine.evaluation.compiler.quoting import (
    Namespace,
    branch,
    constant,
    either,
    expression,
    function,
    load,
    name,
    or_slow,
    row,
    statements,
)
from policy_engine.evaluation.decision import AttemptDecision, Digests, Head, ProgressDecision
from policy_engine.evaluation.facts import MISSING
from policy_engine.language.checked import CeilingRule, CheckedPolicy, Route
from policy_engine.language.units import PICOS_PER_NANO, Rates
from policy_engine.language.vocabulary import Point

OPTIONAL = frozenset({"input_tokens", "estimate"})

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


TIMES = {"outcome": "elapsed_micros", "step": "step_elapsed_micros", "attempt": "attempt_elapsed_micros"}
"""Scope → what has passed since it began."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a function reaches its facts: as attributes of a record, or as arguments."""

    bound: bool
    arguments: tuple[str, ...]

    def field(self, known: str) -> ast.expr:
        return name(known) if self.bound and known in self.arguments else ast.Attribute(name("f"), known, ast.Load())

    def slow(self) -> list[ast.stmt]:
        """Leave this decision to the reference."""
        if not self.bound:
            return statements("return slow(f)")
        return [ast.Return(ast.Call(name("slow"), [name(argument) for argument in self.arguments], []))]


class _Writer:
    """One function under construction."""

    def __init__(
        self, policy: CheckedPolicy, digests: Digests, who: Who, point: Point, shape: Shape, slow: Callable[..., Any]
    ) -> None:
        assert who.lane is not None  # noqa: S101 - an attempt has a lane and a route
        assert who.route is not None  # noqa: S101 - as above
        self.policy = policy
        self.digests = digests
        self.shape = shape
        self.route: Route = policy.routes[who.route]
        self.namespace = Namespace(slow=slow, MISSING=MISSING)
        fixed = identity(who)
        blocks = (*policy.around(who.outcome, who.plan), policy.lanes[who.lane].rules, self.route.rules)
        ceilings = sorted(
            (rule for rules in blocks for rule in rules.ceilings if point in rule.points),
            key=lambda rule: rule.span.order,
        )
        self.enforced = applied([rule for rule in ceilings if not rule.shadow], fixed)
        self.shadowed = applied([rule for rule in ceilings if rule.shadow], fixed)
        step = shape.field("step") if not shape.bound else name("step")
        fields = {
            "price": shape.field("price_nanos") if not shape.bound else name("price"),
            "step": step,
            "attempt": shape.field("attempt"),
            "failures": shape.field("failures"),
            "elapsed": shape.field("elapsed_micros"),
            "input_tokens": shape.field("input_tokens"),
            "estimate": name("asked") if point is Point.ATTEMPT else shape.field("estimate_nanos"),
        }
        self.reader = Reader(
            namespace=self.namespace,
            numbers={fact: number for number, fact in enumerate(policy.facts)},
            fields=fields,
            optional=OPTIONAL if point is Point.PROGRESS else OPTIONAL - {"estimate"},
            give_up=shape.slow,
            give_up_early=(lambda: statements("return None")) if shape.bound else shape.slow,
        )
        times: dict[str, ast.expr | None] = {"attempt": None}
        timed = {c.rule.scope.execution for c in self.enforced + self.shadowed if c.rule.quantity == "elapsed"}
        for scope, known in TIMES.items():
            if scope in timed and (scope != "attempt" or point is Point.PROGRESS):
                times[scope] = self.local(known)
        self.ceilings = CeilingWriter(self.reader, self.namespace, fields["price"], times, price_is_fixed=shape.bound)

    def local(self, known: str) -> ast.expr:
        """A field in a local of its own, because it is read more than once."""
        if self.shape.bound:
            return name(known)
        self.reader.body += statements("LOCAL = VALUE".replace("LOCAL", known), VALUE=self.shape.field(known))
        return name(known)

    def head(self, effect: str, reason: str | None = None) -> ast.expr:
        return self.namespace.bind(Head(effect, reason, self.policy.currency, self.digests))

    def opening(self) -> list[ast.stmt]:
        """The counters in a local, where one is read."""
        if self.shape.bound or not any(
            isinstance(node, ast.Name) and node.id == "meters" for part in self.reader.body for node in ast.walk(part)
        ):
            return []
        return statements("meters = f.meters")

    def own_facts(self, given: ast.expr) -> list[ast.stmt]:
        return take_given(self.policy, self.namespace, given, self.reader.give_up_early())

    def finish(self, title: str, body: list[ast.stmt], label: str) -> Callable[..., Any]:
        reader = self.reader
        whole = or_slow([*self.opening(), *reader.body, *body], self.shape.slow())
        if not self.shape.bound:
            given = self.own_facts(expression("f.given")) if reader.prelude else []
            made: Callable[..., Any] = load(
                function(title, ["f"], [*given, *reader.prelude, *whole]), self.namespace, label
            )
            return made
        inner = function(title, list(self.shape.arguments), whole)
        given = self.own_facts(name("given")) if reader.prelude else []
        outer = function(
            "bind", ["given", "price", "step", "slow"], [*given, *reader.prelude, inner, ast.Return(name(title))]
        )
        bound: Callable[..., Any] = load(outer, self.namespace, label)
        return bound


def attempt(
    policy: CheckedPolicy, digests: Digests, who: Who, slow: Callable[..., Any], *, bound: bool = False
) -> Callable[..., Any]:
    """The attempt function of one (outcome, plan, lane, route, customer); `slow` answers what it leaves out."""
    writer = _Writer(policy, digests, who, Point.ATTEMPT, Shape(bound, ATTEMPT_ARGUMENTS), slow)
    reader, ceilings = writer.reader, writer.ceilings
    asked, tokens = name("asked"), name("tokens")
    reader.body += _amounts(writer)

    crossing = [ceilings.crossed(ceiling, asked, tokens) for ceiling in writer.enforced]
    alerts = [alert for ceiling in writer.enforced for alert in ceilings.alerts(ceiling, asked, tokens)]
    timed = [ceiling for ceiling in writer.enforced if ceiling.rule.quantity == "elapsed"]
    verdicts = ceilings.verdicts(writer.shadowed, asked, tokens)

    body: list[ast.stmt] = []
    if crossing:
        body.append(branch(either(crossing), _tight(writer, timed)))
    timing: list[tuple[list[ast.expr], ast.expr, ast.expr]] = [([], row([]), constant(None))]
    if len(timed) == 1:
        rule = timed[0].rule
        left = expression("L - U", L=ceilings.limit(rule), U=ceilings.used(rule))
        line = row([ceilings.line(rule, "decides", asked, tokens)])
        condition = ceilings.condition(timed[0])
        timing = [(condition, line, left), *timing] if condition else [([], line, left)]
    elif timed:
        body += _tightest_time(timed, ceilings)
        timing = [([], name("lines"), name("deadline"))]
    for condition, lines, deadline in timing:
        ways = _ways_to_go(writer, alerts, lines, verdicts, deadline)
        body += [branch(condition[0], ways)] if condition else ways
    return writer.finish("attempt", body, f"attempt {who.outcome}")


def _ways_to_go(
    writer: _Writer,
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
        told = _joined(_joined(lines, row([line])), verdicts)
        body.append(branch(test, [_go(writer, "go", None, told, cap, deadline)]))
    elif alerts:
        fired = [branch(test, statements("fired += (LINE,)", LINE=line)) for test, line in alerts]
        told = _joined(ast.BinOp(lines, ast.Add(), name("fired")), verdicts)
        inside = [*statements("fired = ()"), *fired, _go(writer, "go", None, told, cap, deadline)]
        body.append(branch(either([test for test, _ in alerts]), inside))
    return [*body, _go(writer, "go", None, _joined(lines, verdicts), cap, deadline)]


def _go(
    writer: _Writer, effect: str, reason: str | None, lines: ast.expr, cap: ast.expr, deadline: ast.expr
) -> ast.Return:
    return ast.Return(
        expression(
            "DECISION(HEAD, LINES, (), asked, tokens, CAP, DEADLINE)",
            DECISION=writer.namespace.bind(AttemptDecision),
            HEAD=writer.head(effect, reason),
            LINES=lines,
            CAP=cap,
            DEADLINE=deadline,
        )
    )


def progress(
    policy: CheckedPolicy, digests: Digests, who: Who, slow: Callable[..., Any], *, bound: bool = False
) -> Callable[..., Any]:
    """The progress function of one (outcome, plan, lane, route, customer)."""
    writer = _Writer(policy, digests, who, Point.PROGRESS, Shape(bound, PROGRESS_ARGUMENTS), slow)
    reader, ceilings = writer.reader, writer.ceilings
    asked, tokens = name("asked"), name("tokens")
    reader.body += _streamed(writer)
    over = expression("C is not None and O > C", C=writer.local("output_cap"), O=name("output_tokens"))
    crossing = [ceilings.crossed(ceiling, asked, tokens) for ceiling in writer.enforced]
    verdicts = ceilings.verdicts(writer.shadowed, asked, tokens)
    body: list[ast.stmt] = [branch(either([over, *crossing]), _cut(writer, over, verdicts))]
    if verdicts is None:
        always = ProgressDecision(Head("go", None, policy.currency, digests))
        body.append(ast.Return(writer.namespace.bind(always)))
    else:
        decision = expression(
            "DECISION(HEAD, LINES)",
            DECISION=writer.namespace.bind(ProgressDecision),
            HEAD=writer.head("go"),
            LINES=verdicts,
        )
        body.append(ast.Return(decision))
    return writer.finish("progress", body, f"progress {who.outcome}")


# ---------------------------------------------------------------- amounts


def _cost(rates: Rates, sent: ast.expr, received: ast.expr) -> ast.expr:
    """`Rates.cost_nanos`, without the rounding where the rates are whole nano units."""
    in_picos, out_picos = rates.input_picos, rates.output_picos
    holes = {"SENT": sent, "OUT": received}
    if in_picos % PICOS_PER_NANO == out_picos % PICOS_PER_NANO == 0:
        a, b = constant(in_picos // PICOS_PER_NANO), constant(out_picos // PICOS_PER_NANO)
        return expression("A * SENT + B * OUT", A=a, B=b, **holes)
    a, b = constant(in_picos), constant(out_picos)
    return expression("-(-(A * SENT + B * OUT) // SCALE)", A=a, B=b, SCALE=constant(PICOS_PER_NANO), **holes)


def _amounts(writer: _Writer) -> list[ast.stmt]:
    """`asked` and `tokens` of the worst case; what cannot be known goes to the reference."""
    route, shape = writer.route, writer.shape
    holes = {
        "SENT": writer.local("input_tokens"),
        "CAP": writer.local("max_output_tokens"),
        "STATED": writer.local("estimate_nanos"),
    }
    unknown = [branch(expression("SENT is None or CAP is None", **holes), shape.slow())]
    if route.kind == "tool":
        unknown = []
        tokens = statements("tokens = 0 if SENT is None or CAP is None else SENT + CAP", **holes)
    else:
        tokens = statements("tokens = SENT + CAP", **holes)
    if route.cost_nanos is not None:
        asked = statements("asked = COST if STATED is None else STATED", COST=constant(route.cost_nanos), **holes)
    elif route.rates is not None:
        cost = _cost(route.rates, holes["SENT"], holes["CAP"])
        asked = statements("asked = COST if STATED is None else STATED", COST=cost, **holes)
    else:
        asked = [branch(expression("STATED is None", **holes), shape.slow()), *statements("asked = STATED", **holes)]
    return [*unknown, *tokens, *asked]


def _streamed(writer: _Writer) -> list[ast.stmt]:
    """`asked` and `tokens` of what was streamed so far."""
    route, shape = writer.route, writer.shape
    holes = {
        "SENT": writer.local("input_tokens"),
        "OUT": writer.local("output_tokens"),
        "STATED": shape.field("estimate_nanos"),
    }
    unknown = [branch(expression("SENT is None", **holes), shape.slow())]
    if route.kind == "tool":
        unknown = []
        tokens = statements("tokens = 0 if SENT is None else SENT + OUT", **holes)
    else:
        tokens = statements("tokens = SENT + OUT", **holes)
    if route.cost_nanos is not None:
        asked = statements("asked = COST", COST=constant(route.cost_nanos))
    elif route.rates is not None:
        asked = statements("asked = COST", COST=_cost(route.rates, holes["SENT"], holes["OUT"]))
    else:
        asked = [branch(expression("STATED is None", **holes), shape.slow()), *statements("asked = STATED", **holes)]
    counted = any(ceiling.rule.quantity == "tokens" for ceiling in writer.enforced + writer.shadowed)
    return [*unknown, *(tokens if counted else []), *asked]


# ---------------------------------------------------------------- refusals and deadlines


def _tight(writer: _Writer, timed: list[Applied]) -> list[ast.stmt]:
    """Something does not fit: refuse, naming all that is crossed, or shrink the output cap to what is left."""
    ceilings, enforced = writer.ceilings, writer.enforced
    asked, tokens = name("asked"), name("tokens")
    holes = {"CAP": name("max_output_tokens"), "LEAST": writer.shape.field("min_output_tokens")}
    if writer.route.kind == "tool":
        # A tool that is asked for with tokens to spare is left to the reference.
        body: list[ast.stmt] = [branch(expression("LEAST is not None", **holes), writer.shape.slow())]
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
        DECISION=writer.namespace.bind(AttemptDecision),
        HEAD=writer.head("refuse", "over_ceiling"),
        LINES=_joined(name("lines"), ceilings.verdicts(writer.shadowed, least, least_tokens)),
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
        return [*body, *writer.shape.slow()]  # what crosses cannot be shrunk, and would have refused
    ceilings.amounts_change = True
    body += statements("cap = LEFT", LEFT=ast.Call(name("min"), [name("max_output_tokens"), *rooms.values()], []))
    body += _with_cap(writer, name("cap"), ("asked", "tokens"))
    alerts = [test for ceiling in enforced for test, _ in ceilings.alerts(ceiling, asked, tokens)]
    if alerts:
        body.append(branch(either(alerts), writer.shape.slow()))  # both at once: rare enough
    deadline: ast.expr = constant(None)
    if timed:
        lefts = []
        for number, ceiling in enumerate(timed):
            left = expression("L - U", L=ceilings.limit(ceiling.rule), U=ceilings.used(ceiling.rule))
            if ceiling.condition is not None:
                left = expression("V if C else None", V=left, C=ceilings.condition(ceiling)[0])
            body.append(ast.Assign([ast.Name(f"left{number}", ast.Store())], left))
            lefts.append(name(f"left{number}"))
        body += statements("deadline = soonest(LEFTS)", LEFTS=row(lefts))
        writer.namespace.objects["soonest"] = _soonest
        deadline = name("deadline")
    body += statements("lines = ()")
    for number, ceiling in enumerate(enforced):
        add = statements("lines += (LINE,)", LINE=ceilings.line(ceiling.rule, "decides", asked, tokens))
        if number in rooms:
            body.append(branch(expression("ROOM == cap", ROOM=rooms[number]), add))
        elif ceiling in timed:
            left = name(f"left{timed.index(ceiling)}")
            body.append(branch(expression("L is not None and L == deadline", L=left), add))
    shown = _joined(name("lines"), ceilings.verdicts(writer.shadowed, asked, tokens))
    ceilings.amounts_change = False
    return [*body, _go(writer, "go", "shrunk", shown, name("cap"), deadline)]


def _room(writer: _Writer, ceiling: Applied) -> ast.expr | None:
    """The output tokens that a ceiling leaves, if it can be met by fewer of them."""
    rule, ceilings, route = ceiling.rule, writer.ceilings, writer.route
    holes = {"L": ceilings.limit(rule), "U": ceilings.used(rule), "SENT": name("input_tokens")}
    if rule.quantity == "tokens":
        return expression("L - U - SENT", **holes)
    if rule.quantity != "spent" or route.rates is None or route.cost_nanos is not None or not route.rates.output_picos:
        return None
    return expression(
        "((L - U) * SCALE - IN * SENT) // OUT if STATED is None else CAP",
        SCALE=constant(PICOS_PER_NANO),
        IN=constant(route.rates.input_picos),
        OUT=constant(route.rates.output_picos),
        STATED=name("estimate_nanos"),
        CAP=name("max_output_tokens"),
        **holes,
    )


def _with_cap(writer: _Writer, cap: ast.expr, into: tuple[str, str]) -> list[ast.stmt]:
    """Money and tokens of the worst case with another cap."""
    route = writer.route
    holes = {"SENT": name("input_tokens"), "CAP": cap, "STATED": name("estimate_nanos")}
    if route.kind == "tool":
        return statements(f"{into[0]} = asked\n{into[1]} = tokens")
    money = statements(f"{into[0]} = asked")
    if route.rates is not None and route.cost_nanos is None:
        cost = _cost(route.rates, holes["SENT"], cap)
        money = statements(f"{into[0]} = COST if STATED is None else STATED", COST=cost, **holes)
    return [*money, *statements(f"{into[1]} = SENT + CAP", **holes)]


def _soonest(lefts: tuple[int | None, ...]) -> int | None:
    return min((left for left in lefts if left is not None), default=None)


def _cut(writer: _Writer, over: ast.expr, verdicts: ast.expr | None) -> list[ast.stmt]:
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
        DECISION=writer.namespace.bind(ProgressDecision),
        OVER=over,
        CAP=writer.head("cut", "output_cap"),
        LATE=writer.head("cut", "deadline"),
        HIGH=writer.head("cut", "over_ceiling"),
        LINES=_joined(name("lines"), verdicts),
    )
    return [*body, ast.Return(decision)]


def _tightest_time(timed: list[Applied], ceilings: CeilingWriter) -> list[ast.stmt]:
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


def _joined(lines: ast.expr, verdicts: ast.expr | None) -> ast.expr:
    """Two tuples as one, without adding where one display does."""
    if verdicts is None:
        return lines
    if (
        isinstance(lines, ast.Tuple)
        and isinstance(verdicts, ast.Tuple)
        and all(not isinstance(item, ast.Starred) for item in lines.elts)
    ):
        return row([*lines.elts, *verdicts.elts])
    return ast.BinOp(lines, ast.Add(), verdicts)

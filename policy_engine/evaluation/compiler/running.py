"""What `attempt` and `progress` share: how facts are reached, which ceilings are looked at, what tokens cost."""

import ast
from dataclasses import dataclass

from policy_engine.evaluation.compiler.ceilings import CeilingWriter, applied
from policy_engine.evaluation.compiler.conditions import Reader, identity, take_given
from policy_engine.evaluation.compiler.index import Who
from policy_engine.evaluation.compiler.quoting import constant, expression, function, name, or_slow, row, statements
from policy_engine.evaluation.compiler.shapes import Namespace, Shapes, Written
from policy_engine.evaluation.decision import AttemptDecision, Digests, Head
from policy_engine.language.checked import CheckedPolicy, Route
from policy_engine.language.units import PICOS_PER_NANO, Rates
from policy_engine.language.vocabulary import Point

OPTIONAL = frozenset({"input_tokens", "estimate"})

TIMES = {"outcome": "elapsed_micros", "step": "step_elapsed_micros", "attempt": "attempt_elapsed_micros"}
"""Scope → what has passed since it began."""


@dataclass(frozen=True, slots=True)
class Access:
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


class Writer:
    """One function under construction."""

    def __init__(
        self, policy: CheckedPolicy, digests: Digests, who: Who, point: Point, access: Access, shapes: Shapes
    ) -> None:
        assert who.lane is not None  # noqa: S101 - an attempt has a lane and a route
        assert who.route is not None  # noqa: S101 - as above
        self.policy = policy
        self.digests = digests
        self.access = access
        self.route: Route = policy.routes[who.route]
        self.namespace = Namespace(shapes)
        fixed = identity(who)
        blocks = (*policy.around(who.outcome, who.plan), policy.lanes[who.lane].rules, self.route.rules)
        ceilings = sorted(
            (rule for rules in blocks for rule in rules.ceilings if point in rule.points),
            key=lambda rule: rule.span.order,
        )
        self.enforced = applied([rule for rule in ceilings if not rule.shadow], fixed)
        self.shadowed = applied([rule for rule in ceilings if rule.shadow], fixed)
        step = access.field("step") if not access.bound else name("step")
        fields = {
            "price": access.field("price_nanos") if not access.bound else name("price"),
            "step": step,
            "attempt": access.field("attempt"),
            "failures": access.field("failures"),
            "elapsed": access.field("elapsed_micros"),
            "input_tokens": access.field("input_tokens"),
            "estimate": name("asked") if point is Point.ATTEMPT else access.field("estimate_nanos"),
        }
        self.reader = Reader(
            namespace=self.namespace,
            numbers={fact: number for number, fact in enumerate(policy.facts)},
            fields=fields,
            optional=OPTIONAL if point is Point.PROGRESS else OPTIONAL - {"estimate"},
            give_up=access.slow,
            give_up_early=(lambda: statements("return None")) if access.bound else access.slow,
        )
        times: dict[str, ast.expr | None] = {"attempt": None}
        timed = {c.rule.scope.execution for c in self.enforced + self.shadowed if c.rule.quantity == "elapsed"}
        for scope, known in TIMES.items():
            if scope in timed and (scope != "attempt" or point is Point.PROGRESS):
                times[scope] = self.local(known)
        self.ceilings = CeilingWriter(self.reader, self.namespace, fields["price"], times, price_is_fixed=access.bound)

    def local(self, known: str) -> ast.expr:
        """A field in a local of its own, because it is read more than once."""
        if self.access.bound:
            return name(known)
        self.reader.body += statements("LOCAL = VALUE".replace("LOCAL", known), VALUE=self.access.field(known))
        return name(known)

    def head(self, effect: str, reason: str | None = None) -> ast.expr:
        return self.namespace.everywhere(Head(effect, reason, self.policy.currency, self.digests))

    def of_route(self, value: int) -> ast.expr:
        """A number that the route decides."""
        return self.namespace.bind(value, ("route",))

    def opening(self) -> list[ast.stmt]:
        """The counters in a local, where one is read."""
        if self.access.bound or not any(
            isinstance(node, ast.Name) and node.id == "meters" for part in self.reader.body for node in ast.walk(part)
        ):
            return []
        return statements("meters = f.meters")

    def own_facts(self, given: ast.expr) -> list[ast.stmt]:
        return take_given(self.policy, self.namespace, given, self.reader.give_up_early())

    def finish(self, title: str, body: list[ast.stmt]) -> Written:
        """The whole function, what it reads first."""
        reader, bound = self.reader, self.access.bound
        whole = or_slow([*self.opening(), *reader.body, *body], self.access.slow())
        given = self.own_facts(name("given") if bound else expression("f.given")) if reader.prelude else []
        if bound:
            whole = [function(title, list(self.access.arguments), whole), ast.Return(name(title))]
        return Written([*given, *reader.prelude, *whole], self.namespace)


def cost(writer: Writer, rates: Rates, sent: ast.expr, received: ast.expr) -> ast.expr:
    """`Rates.worst_nanos`, without the rounding where the rates are whole nano units."""
    whole = all(step.input_picos % PICOS_PER_NANO == step.output_picos % PICOS_PER_NANO == 0 for step in rates.steps)
    a, b = per_token(writer, rates, sent, PICOS_PER_NANO if whole else 1)
    if whole:
        return expression("A * SENT + B * OUT", A=a, B=b, SENT=sent, OUT=received)
    scale = constant(PICOS_PER_NANO)
    return expression("-(-(A * SENT + B * OUT) // SCALE)", A=a, B=b, SENT=sent, OUT=received, SCALE=scale)


def per_token(writer: Writer, rates: Rates, sent: ast.expr, unit: int = 1) -> tuple[ast.expr, ast.expr]:
    """What an input and an output token cost at worst, in so many pico units, by how many tokens are sent."""
    first, *more = rates.steps
    into, out = writer.of_route(first.input_picos // unit), writer.of_route(first.output_picos // unit)
    for step in more:
        above = writer.of_route(step.above_tokens)
        here = writer.of_route(step.input_picos // unit), writer.of_route(step.output_picos // unit)
        into = expression("(HERE if SENT > ABOVE else BELOW)", HERE=here[0], SENT=sent, ABOVE=above, BELOW=into)
        out = expression("(HERE if SENT > ABOVE else BELOW)", HERE=here[1], SENT=sent, ABOVE=above, BELOW=out)
    return into, out


def go(
    writer: Writer, effect: str, reason: str | None, lines: ast.expr, cap: ast.expr, deadline: ast.expr
) -> ast.Return:
    """The decision of an attempt that may be made."""
    return ast.Return(
        expression(
            "DECISION(HEAD, LINES, (), asked, tokens, CAP, DEADLINE)",
            DECISION=writer.namespace.everywhere(AttemptDecision),
            HEAD=writer.head(effect, reason),
            LINES=lines,
            CAP=cap,
            DEADLINE=deadline,
        )
    )


def joined(lines: ast.expr, verdicts: ast.expr | None) -> ast.expr:
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

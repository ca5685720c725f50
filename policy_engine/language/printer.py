"""One node → one line of policy text, in canonical spacing.

Literals keep the spelling that the author chose. Comments and layout are the formatter's business.
"""

from collections.abc import Iterable

from policy_engine.language import syntax as s

Node = s.Item | s.Expression | s.PackUnits | s.Units | s.UnitPrice | s.OverageCap | s.Count | s.ShareOfPrice


def statement_text(node: Node) -> str:
    """A statement, setting, expression or part of one; of a block, its head without the brace."""
    match node:
        case s.Ceiling() | s.Retry() | s.Allow() | s.Forbid() | s.Limit() | s.Fallback() | s.Margin():
            return _rule(node)
        case s.CurrencyDeclaration() | s.TimezoneDeclaration() | s.FactDeclaration() | s.ErrorDeclaration():
            return _declaration(node)
        case s.StoreFailure(within=within):
            end = "deny" if within is None else f"allow within {statement_text(within)}"
            return f"on store failure {end}"
        case s.Block():
            return _words(node.kind, node.name.text, statement_text(node.title) if node.title else "")
        case s.PackUnits() | s.Units() | s.UnitPrice() | s.OverageCap() | s.Count() | s.ShareOfPrice():
            return _part(node)
        case (
            s.Model()
            | s.Tool()
            | s.Handoff()
            | s.RatesSetting()
            | s.Cost()
            | s.Fee()
            | s.Includes()
            | s.Overage()
            | s.Expires()
            | s.Price()
            | s.Lanes()
            | s.Accepted()
        ):
            return _setting(node)
        case _:
            return _expression(node)


def path_text(path: Iterable[s.Name]) -> str:
    """The first line of a lane."""
    return " -> ".join(name.text for name in path)


def _declaration(
    node: s.CurrencyDeclaration | s.TimezoneDeclaration | s.FactDeclaration | s.ErrorDeclaration,
) -> str:
    match node:
        case s.CurrencyDeclaration(code=code):
            return f"currency {code.text}"
        case s.TimezoneDeclaration(zone=zone):
            return f"timezone {statement_text(zone)}"
        case s.ErrorDeclaration(name=name):
            return f"error {name.text}"
        case s.FactDeclaration():
            default = f"= {statement_text(node.default)}" if node.default is not None else ""
            optional = "?" if node.optional else ""
            return _words(f"fact {node.name.text}{optional}:", _fact_type(node.type), default)


def _fact_type(type_: s.Enumeration | s.ScalarType) -> str:
    if isinstance(type_, s.Enumeration):
        return (" < " if type_.ordered else " | ").join(value.text for value in type_.values)
    if type_.low is None or type_.high is None:
        return type_.name.text
    return f"{type_.name.text} {statement_text(type_.low)}..{statement_text(type_.high)}"


def _setting(node: s.Setting) -> str:
    match node:
        case s.Model(model=text) | s.Tool(tool=text) | s.Handoff(to=text):
            return f"{type(node).__name__.lower()} {statement_text(text)}"
        case s.RatesSetting():
            return f"rates {node.input.text} in, {node.output.text} out per {node.per.text} tokens"
        case s.Cost(amount=amount) | s.Price(amount=amount):
            return f"{type(node).__name__.lower()} {amount.text}"
        case s.Fee():
            return f"fee {node.amount.text} per {node.period.text}"
        case s.Includes(units=units):
            return f"includes {_listed(units)}"
        case s.Overage():
            return _words(f"overage {_listed(node.prices)}", statement_text(node.cap) if node.cap else "")
        case s.Expires(after=after):
            return f"expires {after.text}"
        case s.Lanes(names=names):
            return f"lanes {_listed(names)}"
        case s.Accepted():
            return _words(f"accepted within {node.within.text}", "else expired" if node.else_expired else "")


def _part(node: s.PackUnits | s.Units | s.UnitPrice | s.OverageCap | s.Count | s.ShareOfPrice) -> str:
    match node:
        case s.PackUnits():
            return f"{statement_text(node.units)} for {node.amount.text}"
        case s.Units():
            return f"{node.count.text} {node.outcome.text}"
        case s.UnitPrice():
            return f"{node.amount.text} per {node.outcome.text}"
        case s.OverageCap():
            return f"up to {node.amount.text} per {node.period.text}"
        case s.Count():
            return _words(node.number.text, node.unit.text if node.unit else "")
        case s.ShareOfPrice():
            return f"{node.percent.text} of {node.of.text}"


def _rule(node: s.Rule) -> str:
    match node:
        case s.Ceiling():
            head = _words("ceiling", statement_text(node.amount), _keys(node.per))
        case s.Retry():
            head = f"retry {node.count.text}"
        case s.Allow():
            head = "allow"
        case s.Forbid():
            head = "forbid"
        case s.Limit():
            head = _words("limit", node.count.text, _keys(node.per))
        case s.Fallback():
            head = f"fallback {node.target.text}"
        case s.Margin():
            head = f"margin at least {node.percent.text}"
    return _words("shadow" if node.shadow else "", head, tails_text(node.tails))


def tails_text(tails: s.Tails) -> str:
    """What follows a rule, each tail in its place; empty if nothing does."""
    parts = []
    if tails.on is not None:
        parts.append(f"on {_listed(tails.on.classes)}")
    if tails.backoff is not None:
        longest = f"..{tails.backoff.longest.text}" if tails.backoff.longest else ""
        parts.append(f"backoff {tails.backoff.first.text}{longest}")
    if tails.condition is not None:
        word = "unless" if tails.condition.negated else "when"
        parts.append(f"{word} {statement_text(tails.condition.test)}")
    if tails.alert is not None:
        parts.append(f"alert at {_listed(tails.alert.percents)}")
    if tails.label is not None:
        parts.append(f"as {tails.label.text}")
    return " ".join(parts)


def _expression(node: s.Expression) -> str:
    match node:
        case s.Name() | s.Number() | s.Money() | s.Percent() | s.Duration():
            return node.text
        case s.Text(value=value):
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case s.Or(parts=parts):
            return " or ".join(map(_expression, parts))
        case s.And(parts=parts):
            return " and ".join(map(_expression, parts))
        case s.Not(part=part):
            return f"not {_expression(part)}"
        case s.Compare():
            return f"{_expression(node.left)} {node.op} {_expression(node.right)}"
        case s.In():
            return f"{_expression(node.left)} {'not in' if node.negated else 'in'} [{_listed(node.items)}]"
        case s.Sum(terms=terms):
            signed = [("- " if sign < 0 else "+ ") + _expression(term) for sign, term in terms]
            return " ".join(signed).removeprefix("+ ")
        case s.Product(factors=factors):
            return " * ".join(map(_expression, factors))
        case s.Share():
            return f"{node.percent.text} of {_expression(node.of)}"
        case s.Negative(part=part):
            return f"-{_expression(part)}"
        case s.Parentheses(part=part):
            return f"({_expression(part)})"
        case s.Meter():
            return _words(node.quantity.text, f"of {node.block.text}" if node.block else "", _keys(node.per))


def _keys(per: Iterable[s.Name]) -> str:
    return " ".join(f"per {key.text}" for key in per)


def _listed(nodes: Iterable[Node]) -> str:
    return ", ".join(map(statement_text, nodes))


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)

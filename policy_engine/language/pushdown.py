"""The parse table, walked by hand: what may come next, and how to leave a broken statement.

It works on the stacks of an interactive parse. A *home* is a state in which a new
statement may begin: at the head of the file, after `{` and after a statement.
"""

from collections.abc import Sequence
from typing import Any

from policy_engine.language.lexemes import END, Lexeme

_ANY_STATEMENT = "FACT"
"""A word that only ever begins a statement: where it may stand, every statement may."""


class Pushdown:
    """One parse under way. `feed` takes only what `accepts` said it would."""

    def __init__(self, parser_state: Any) -> None:
        self._state = parser_state
        self._table: dict[int, dict[str, tuple[Any, Any]]] = parser_state.parse_conf.states

    def accepts(self, *types: str) -> bool:
        """Whether these token types can come next, in this order."""
        stack: list[int] = list(self._state.state_stack)
        return all(self._shift(stack, type_) for type_ in types)

    def accepted(self) -> set[str]:
        """Every token type that can come next."""
        row = self._table[self._state.state_stack[-1]]
        return {type_ for type_ in row if type_.isupper() and self.accepts(type_)}

    def feed(self, lexeme: Lexeme) -> Any:
        """Take a token that is accepted; the tree, if it was the last one."""
        return self._state.feed_token(lexeme, lexeme.type == END)

    @property
    def statement_begins(self) -> bool:
        """Whether the token that was fed last is the first of a statement."""
        stack = self._state.state_stack
        return len(stack) > 1 and self._is_home(stack[-2])

    @property
    def complete(self) -> bool:
        """Whether the statement being read can end here."""
        return self.accepts(_ANY_STATEMENT)

    def finish_statement(self) -> None:
        """End the statement being read, which must be complete, and keep it."""
        self._state.feed_token(Lexeme(_ANY_STATEMENT, "", 0, 0))
        self._state.state_stack.pop()
        self._state.value_stack.pop()

    def drop_statement(self) -> None:
        """Forget the statement being read; those before it stay, and so do open blocks."""
        while not self._is_home(self._state.state_stack[-1]):
            self._state.state_stack.pop()
            self._state.value_stack.pop()

    def _is_home(self, state: int) -> bool:
        action = self._table[state].get(_ANY_STATEMENT)
        return action is not None and isinstance(action[1], int)

    def _shift(self, stack: list[int], type_: str) -> bool:
        """Move a stack over one token; whether that can be done."""
        while True:
            action = self._table[stack[-1]].get(type_)
            if action is None:
                return False
            argument = action[1]
            if isinstance(argument, int):
                stack.append(argument)
                return True
            size = len(argument.expansion)
            if size:
                del stack[-size:]
            stack.append(self._table[stack[-1]][argument.origin.name][1])
            if type_ == END and argument.origin.name == "start":
                return True


_WORDS = {"IS": "is", "NEXT": "next", "STOP": "stop", "ON_STORE_FAILURE": "on store failure"}
_SIGNS = {
    "ARROW": "->", "RANGE": "..", "LBRACE": "{", "RBRACE": "}", "LSQB": "[", "RSQB": "]", "LPAR": "(", "RPAR": ")",
    "COMMA": ",", "COLON": ":", "EQUAL": "=", "VBAR": "|", "OPTIONAL": "?", "LESS": "<", "LESS_EQUAL": "<=",
    "GREATER": ">", "GREATER_EQUAL": ">=", "PLUS": "+", "MINUS": "-", "STAR": "*",
}  # fmt: skip
_VALUES = {
    "NAME": "a name",
    "MONEY": "an amount such as `$0.30`",
    "NUMBER": "a number",
    "PERCENT": "a share such as `45%`",
    "DURATION": "a time such as `90s`",
    "STRING": "a text in double quotes",
}
_KINDS = ("ROUTE", "PLAN", "WORKFLOW", "OUTCOME", "LANE", "PRICE", "CEILING", "ERROR")
_RARE = ("PLUS", "MINUS", "STAR", "OPTIONAL", "RBRACE", END)


def readable(accepted: set[str]) -> Sequence[str]:
    """Token types in an author's words, values first; what can stand nearly everywhere is left out or joined."""
    types = set(accepted)
    shown = []
    if {"NAME", "NUMBER", "MONEY"} <= types:
        types -= {*_VALUES, *_KINDS, "LPAR"}
        shown.append("a name or a value")
    elif {"NAME", "PLAN", "OUTCOME"} <= types:
        types -= set(_KINDS)
    statement = _ANY_STATEMENT in types
    if statement:
        types = {type_ for type_ in types if type_ in _VALUES or type_ in _SIGNS or type_ in _TAIL_TYPES}
    shown += [text for type_, text in _VALUES.items() if type_ in types]
    shown += [f"`{sign}`" for type_, sign in _SIGNS.items() if type_ in types and type_ not in _RARE]
    shown += sorted(
        f"`{_WORDS.get(type_, type_.lower())}`"
        for type_ in types
        if type_ not in _VALUES and type_ not in _SIGNS and type_ not in _RARE
    )
    if statement:
        shown.append("a new statement")
    return shown or ["`}`" if "RBRACE" in accepted else "the end of the file"]


_TAIL_TYPES = (
    "PER",
    "ON",
    "BACKOFF",
    "WHEN",
    "UNLESS",
    "ALERT",
    "AS",
    "AND",
    "OR",
    "OF",
    "IN",
    "IS",
    "UP",
    "ELSE",
    "NOT",
)

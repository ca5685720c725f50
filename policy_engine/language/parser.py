"""Policy text → syntax tree, or every syntax mistake in it. The only file that imports lark.

lark makes the table of the grammar; it is walked here, with the tree builder called at each
reduction, so that neither tokens nor trees are made that nobody reads. Only where that fails is
the text read again, token by token, reporting each mistake and going on at the next statement
(`recovery.py` has the rules).
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from lark import Lark
from lark.lexer import Lexer
from msgspec import Struct

from policy_engine.language import limits
from policy_engine.language import syntax as s
from policy_engine.language.builder import LengthError, NestingError, TreeBuilder
from policy_engine.language.diagnostics import Diagnostic, in_order
from policy_engine.language.source import Source, Span

if TYPE_CHECKING:
    from policy_engine.language.lexemes import Reader
    from policy_engine.language.pushdown import Pushdown

END = "$END"
MAX_CHARACTERS = 1024 * 1024
"""Twice what `MAX_STATEMENTS` rules of common length take; the slowest text of this length is read in seconds."""

MAX_STATEMENTS = 20_000

_lock = Lock()


def parse(source: Source) -> tuple[s.File, tuple[Diagnostic, ...]]:
    """The tree of one source and its syntax mistakes; with mistakes, the tree holds the statements that stand.

    Any text at all gives an answer: nothing is raised for what an author may have written.
    """
    if len(source.text) > MAX_CHARACTERS:
        return _nothing(source, limits.file_too_long(Span(source, MAX_CHARACTERS, MAX_CHARACTERS + 1), MAX_CHARACTERS))
    grammar, builder = _parser()
    with _lock:  # the builder holds the source being read
        builder.begin(source)
        try:
            file = builder.finish(_items(grammar, source.text))
            found = builder.diagnostics
        except (MisreadError, NestingError, LengthError):
            # Imported here: a policy without mistakes never needs it.
            from policy_engine.language import recovery

            outcome = recovery.read(source, builder, lambda: _begin(source))
            file, found = outcome.file, outcome.diagnostics
    one_too_many = _statement_at(file.items, MAX_STATEMENTS)
    if one_too_many is not None:
        return _nothing(source, limits.too_many_statements(one_too_many, MAX_STATEMENTS))
    return file, _capped(found)


def _nothing(source: Source, diagnostic: Diagnostic) -> tuple[s.File, tuple[Diagnostic, ...]]:
    return s.File(items=(), comments=(), source=source), (diagnostic,)


def _statement_at(items: tuple[s.Item, ...], index: int) -> Span | None:
    """Where the statement of this index, counted from 0 through all blocks, begins with its first word."""
    waiting = [iter(items)]
    while waiting:
        item = next(waiting[-1], None)
        if item is None:
            waiting.pop()
            continue
        if index == 0:
            return item.head if isinstance(item, s.Block) else item.span
        index -= 1
        if isinstance(item, s.Block):
            waiting.append(iter(item.items))
    return None


def _capped(found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """In order; too many are cut, and said to be."""
    if not found:
        return ()
    from policy_engine.language.recovery import MAX_DIAGNOSTICS

    ordered = in_order(found)
    if len(ordered) <= MAX_DIAGNOSTICS:
        return ordered
    cut = ordered[MAX_DIAGNOSTICS]
    return (*ordered[:MAX_DIAGNOSTICS], limits.too_many_mistakes(cut.span, MAX_DIAGNOSTICS))


# ---------------------------------------------------------------- reading


class MisreadError(Exception):
    """A text that is not what the grammar says."""


class _Token(Struct, gc=False):
    type: str
    value: str
    start_pos: int
    end_pos: int


class _Tokens:
    """The tokens of a text, one at a time; able to go on behind what fits none."""

    def __init__(self, grammar: "_Grammar", text: str) -> None:
        self._text = text
        self._place = 0
        self._match = grammar.token.match
        self._blank = grammar.blank
        self._told = grammar.told
        self._ignored = grammar.ignored

    def next_token(self) -> _Token | int | None:
        """The next token, the offset where none fits, or None at the end."""
        while match := self._match(self._text, self._place):
            type_: str = match.lastgroup  # type: ignore[assignment]  # every alternative is a group
            start, self._place = match.span(type_)
            token = _Token(type_, match[type_], start, self._place)
            if type_ in self._told:
                self._told[type_](token)
            if type_ not in self._ignored:
                return token
        blank = self._blank.match(self._text, self._place)
        self._place = blank.end() if blank else self._place
        return self._place if self._place < len(self._text) else None

    def skip_to(self, offset: int) -> None:
        """Go on reading at an offset further on."""
        self._place = offset


def _items(grammar: "_Grammar", text: str) -> list[Any]:
    """What the builder made of the statements of a text. Raises `MisreadError`, and what the builder raises."""
    next_token = _Tokens(grammar, text).next_token
    row = grammar.first
    rows: list[dict[str, Any]] = [row]
    values: list[Any] = []
    while True:
        token = next_token()
        if isinstance(token, int):
            raise MisreadError
        type_ = token.type if token is not None else END
        while (action := row.get(type_)).__class__ is tuple:
            size, build, name = action
            if build is None:
                rows.pop()
            elif size:
                children = values[-size:]
                del values[-size:], rows[-size:]
                values.append(build(children))
            else:
                values.append(build([]))
            row = rows[-1][name]
            rows.append(row)
        if action is None:
            raise MisreadError
        if token is None:
            items: list[Any] = values[0]
            return items
        values.append(token)
        row = action
        rows.append(row)


# ---------------------------------------------------------------- lark


class _NoLexer(Lexer):
    """In the place of lark's: its terminals are checked against each other by a test, and read by `_Tokens`."""

    def __init__(self, conf: Any) -> None: ...

    def lex(self, *_: Any) -> Any:
        raise NotImplementedError


class _Grammar:
    """The grammar as tables: its terminals as one pattern, its states as rows by symbol.

    A row has, under what may come next, the row that follows, or what to reduce first: how many values,
    what makes one of them (None where one stays as it is), and the symbol that it is.
    """

    def __init__(self, lark: Lark, told: Mapping[str, Callable[[Any], Any]]) -> None:
        self.lark = lark
        self.told = told
        self.ignored = frozenset(lark.lexer_conf.ignore) & told.keys()
        # Where two terminals fit, lark's order decides: the prior, then the longer one.
        ordered = sorted(
            lark.lexer_conf.terminals,
            key=lambda t: (-t.priority, -t.pattern.max_width, -len(t.pattern.value), t.name),
        )
        untold = frozenset(lark.lexer_conf.ignore) - self.ignored
        blanks = "|".join(t.pattern.to_regexp() for t in ordered if t.name in untold)
        tokens = "|".join(f"(?P<{t.name}>{t.pattern.to_regexp()})" for t in ordered if t.name not in untold)
        self.blank = re.compile(f"(?>(?:{blanks})*)")
        self.token = re.compile(f"{self.blank.pattern}(?:{tokens})")
        self.first = self._rows()

    def _rows(self) -> dict[str, Any]:
        conf = self.begin().parse_conf
        rows: dict[int, dict[str, Any]] = {state: {} for state in conf.states}
        reductions: dict[int, tuple[int, Any, str]] = {}
        for state, actions in conf.states.items():
            row = rows[state]
            for symbol, (_, argument) in actions.items():
                if isinstance(argument, int):
                    row[str(symbol)] = rows[argument]
                    continue
                reduction = reductions.get(id(argument))
                if reduction is None:
                    build = None if _only_renames(argument) else conf.callbacks[argument]
                    reduction = (len(argument.expansion), build, str(argument.origin.name))
                    reductions[id(argument)] = reduction
                row[str(symbol)] = reduction
        rows[conf.end_state][END] = {}  # there the end is taken, like any token
        return rows[conf.start_state]

    def begin(self) -> Any:
        """The state of one of lark's own parses, before its first token."""
        return self.lark.parse_interactive("").parser_state


def _only_renames(rule: Any) -> bool:
    """Whether a rule such as `_sum: _term` hands on the children of the one below it."""
    inlined = all(symbol.name.startswith("_") and not symbol.is_term for symbol in (rule.origin, *rule.expansion))
    return inlined and len(rule.expansion) == 1 and rule.alias is None and not any(rule.options.empty_indices)


def _begin(source: Source) -> tuple["Reader", "Pushdown"]:
    from policy_engine.language.lexemes import Reader
    from policy_engine.language.pushdown import Pushdown

    grammar, _ = _parser()
    return Reader(source, _Tokens(grammar, source.text)), Pushdown(grammar.begin())


@cache
def _parser() -> tuple[_Grammar, TreeBuilder]:
    """The grammar's tables, made once and lazily: making them costs more than reading a hundred pages."""
    builder = TreeBuilder()
    lark = Lark(
        grammar_path().read_text(encoding="utf-8"),
        parser="lalr",
        lexer=_NoLexer,
        keep_all_tokens=True,
        transformer=builder,
    )
    told = {
        "COMMENT": builder.on_comment,
        "LPAR": builder.on_open,
        "LBRACE": builder.on_open,
        "RPAR": builder.on_close,
        "RBRACE": builder.on_close,
    }
    return _Grammar(lark, told), builder


def grammar_path() -> Path:
    """The grammar: the packaged copy if there is one, else the one of the checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "_grammar" / "policy.lark"
    return packaged if packaged.exists() else package.parent / "grammar" / "policy.lark"

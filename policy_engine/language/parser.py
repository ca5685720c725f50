"""Policy text → syntax tree, or every syntax mistake in it. The only file that imports lark.

The happy path is lark's own LALR loop, with the tree builder as its embedded transformer:
no intermediate tree is made. Only where that fails is the text read again, token by token,
reporting each mistake and going on at the next statement (`recovery.py` has the rules).
"""

from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from lark import Lark, UnexpectedCharacters, UnexpectedInput

from policy_engine.language import limits
from policy_engine.language import syntax as s
from policy_engine.language.builder import LengthError, NestingError, TreeBuilder
from policy_engine.language.diagnostics import Diagnostic, in_order
from policy_engine.language.source import Source, Span

if TYPE_CHECKING:
    from policy_engine.language.lexemes import RawToken, Reader
    from policy_engine.language.pushdown import Pushdown

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
    lark, builder = _parser()
    with _lock:  # the builder holds the source being read
        builder.begin(source)
        try:
            items: Any = lark.parse(source.text)  # the builder makes no lark tree
            file = builder.finish(items)
            found = builder.diagnostics
        except (UnexpectedInput, NestingError, LengthError):
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


# ---------------------------------------------------------------- lark


class _Lexer:
    """lark's lexer, one token at a time, able to go on behind what it cannot read."""

    def __init__(self, thread: Any) -> None:
        self._state = thread.state
        self._lexer = thread.lexer

    def next_token(self) -> "RawToken | int | None":
        try:
            token: RawToken = self._lexer.next_token(self._state)
        except UnexpectedCharacters as unreadable:
            return unreadable.pos_in_stream
        except EOFError:
            return None
        return token

    def skip_to(self, offset: int) -> None:
        counter = self._state.line_ctr
        counter.feed(self._state.text.text[counter.char_pos : offset])


def _begin(source: Source) -> tuple["Reader", "Pushdown"]:
    from policy_engine.language.lexemes import Reader
    from policy_engine.language.pushdown import Pushdown

    lark, _ = _parser()
    parse = lark.parse_interactive(source.text)
    return Reader(source, _Lexer(parse.lexer_thread)), Pushdown(parse.parser_state)


@cache
def _parser() -> tuple[Lark, TreeBuilder]:
    """The parser, built once and lazily: building it costs more than reading a hundred pages."""
    builder = TreeBuilder()
    lark = Lark(
        grammar_path().read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        keep_all_tokens=True,
        transformer=builder,
        lexer_callbacks={
            "COMMENT": builder.on_comment,
            "LPAR": builder.on_open,
            "LBRACE": builder.on_open,
            "RPAR": builder.on_close,
            "RBRACE": builder.on_close,
        },
    )
    return lark, builder


def grammar_path() -> Path:
    """The grammar: the packaged copy if there is one, else the one of the checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "_grammar" / "policy.lark"
    return packaged if packaged.exists() else package.parent / "grammar" / "policy.lark"

"""Policy text → syntax tree, or every syntax mistake in it. The only file that imports lark.

The happy path is lark's own LALR loop, with the tree builder as its embedded transformer:
no intermediate tree is made. Only where that fails is the text read again, token by token,
reporting each mistake and going on at the next statement (`recovery.py` has the rules).
"""

from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from lark import Lark, Token, UnexpectedInput

from policy_engine.language.builder import MAX_NESTING, NestedTooDeep, TreeBuilder
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source, Span
from policy_engine.language.syntax import File

_lock = Lock()


def parse(source: Source) -> tuple[File, tuple[Diagnostic, ...]]:
    """The tree of one source and its syntax mistakes; with mistakes, the tree holds the statements that stand.

    Any text at all gives an answer: nothing is raised for what an author may have written.
    """
    lark, builder = _parser()
    with _lock:  # the builder holds the source being read
        builder.begin(source)
        try:
            items = lark.parse(source.text)
        except (UnexpectedInput, NestedTooDeep):
            raise
        return builder.finish(items), tuple(builder.diagnostics)


@cache
def _parser() -> tuple[Lark, TreeBuilder]:
    """The parser, built once and lazily: building it costs more than reading a hundred pages."""
    builder = TreeBuilder()
    lark = Lark(
        grammar_text(),
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


def grammar_text() -> str:
    """The grammar: the packaged copy if there is one, else the one of the checkout."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "_grammar" / "policy.lark"
    path = packaged if packaged.exists() else package.parent / "grammar" / "policy.lark"
    return path.read_text(encoding="utf-8")

"""A second, slower reading of a text with mistakes: reports each one and goes on.

Where a slip leaves no doubt about what was meant, the token that was meant is read in its
place. Elsewhere the statement is given up and reading goes on at the next one, so that one
mistake is one diagnostic. What to make of an unexpected token is decided in `remedies.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from policy_engine.language import limits, slips
from policy_engine.language import syntax as s
from policy_engine.language.builder import (
    MAX_DIGITS,
    MAX_NAME_LENGTH,
    MAX_NESTING,
    NestingError,
    TreeBuilder,
    has_too_many_digits,
)
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.lexemes import (
    BLOCK_TYPES,
    END,
    NOTHING,
    NUMBER_TYPES,
    STATEMENT_TYPES,
    UNREADABLE,
    Lexeme,
    Reader,
)
from policy_engine.language.pushdown import Pushdown
from policy_engine.language.remedies import REMEDIES
from policy_engine.language.source import Source, Span
from policy_engine.language.vocabulary import FILE, PLACEMENT

MAX_DIAGNOSTICS = 100
_READINGS = 3  # with one missing brace more supplied in each

_CONTINUING = frozenset(
    {
        "IS",
        "IN",
        "NOT",
        "AND",
        "OR",
        "LESS",
        "LESS_EQUAL",
        "GREATER",
        "GREATER_EQUAL",
        "PLUS",
        "MINUS",
        "STAR",
        "COMMA",
        "RPAR",
        "RSQB",
        "EQUAL",
        "PER",
        "WHEN",
        "UNLESS",
        "ON",
        "BACKOFF",
        "ALERT",
        "AS",
    }
)
"""What follows `plan`, `price` and their like as an operand or a key, but not as a statement."""


@dataclass(slots=True)
class OpenBlock:
    """A block whose `}` has not come yet."""

    kind: str
    head: Span
    indent: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reading gave. `missing_brace` is where a `}` seems to have been forgotten, if one was."""

    file: s.File
    diagnostics: list[Diagnostic]
    missing_brace: int | None


def read(source: Source, builder: TreeBuilder, begin: Callable[[], tuple[Reader, Pushdown]]) -> Outcome:
    """The statements that stand, and every mistake. `begin` starts a parse of the source anew.

    The indentation tells where a missing `}` belongs; the text is then read again with it, and the
    reading with the fewest mistakes counts.
    """
    best = Reading(source, builder, *begin()).run()
    closings: frozenset[int] = frozenset()
    latest = best
    for _ in range(_READINGS):
        if latest.missing_brace is None or latest.missing_brace in closings:
            break
        closings |= {latest.missing_brace}
        latest = Reading(source, builder, *begin(), closings).run()
        if len(latest.diagnostics) <= len(best.diagnostics):
            best = latest
    return best


@dataclass(slots=True)
class Reading:
    """One reading. Remedies look at its state and use its methods to mend what was read."""

    source: Source
    builder: TreeBuilder
    reader: Reader
    machine: Pushdown
    closings: frozenset[int] = frozenset()
    diagnostics: list[Diagnostic] = field(default_factory=list)
    blocks: list[OpenBlock] = field(default_factory=list)
    statement: Lexeme | None = None  # the first word of the statement being read
    name: Lexeme | None = None  # the name in the head of the block being read
    previous: Lexeme | None = None  # fed last
    before_previous: Lexeme | None = None
    brackets: list[Lexeme] = field(default_factory=list)  # open `(` and `[` of this statement
    spoiled: list[int] = field(default_factory=list)  # places whose statement must not be used
    mended: bool = False  # something was already said about this statement
    missing_brace: int | None = None
    _suspect: int | None = None

    def run(self) -> Outcome:
        self.builder.begin(self.source)
        items: list[Any] = []
        try:
            while not self._full():
                lexeme = self.reader.next()
                if lexeme.type == END:
                    break
                self._take_new(lexeme)
        except NestingError as deep:
            self.report(limits.nested_too_deep(deep.span, MAX_NESTING))
            items = self._close(quietly=True)
        else:
            items = self._close(quietly=self._full())
        file = self.builder.finish(standing(items, sorted(set(self.spoiled))))
        return Outcome(file, [*self.diagnostics, *self.builder.diagnostics], self.missing_brace)

    # ------------------------------------------------------------ what remedies use

    def span(self, first: Lexeme, last: Lexeme | None = None) -> Span:
        return Span(self.source, first.start_pos, (last or first).end_pos)

    def report(self, diagnostic: Diagnostic) -> None:
        self.diagnostics.append(diagnostic)
        self.mended = True

    def report_unless_mended(self, diagnostic: Diagnostic) -> None:
        """What may only follow from a mistake in the same statement is not worth a second message."""
        if not self.mended:
            self.report(diagnostic)

    def spoil(self, lexeme: Lexeme) -> None:
        """The statement around this place is read to its end, but not used."""
        self.spoiled.append(lexeme.start_pos)

    def feed(self, lexeme: Lexeme, type_: str | None = None) -> None:
        """Take a token that the grammar accepts here, perhaps as one of another type."""
        if type_ is not None:
            lexeme = replace(lexeme, type=type_)
        self.machine.feed(lexeme)
        self.reader.passed_over = 0
        self.before_previous, self.previous = self.previous, lexeme
        if lexeme.type == "LBRACE":
            self._open(lexeme)
        elif lexeme.type == "RBRACE":
            self.blocks.pop()
        elif lexeme.type in ("LPAR", "LSQB"):
            self.brackets.append(lexeme)
        elif lexeme.type in ("RPAR", "RSQB"):
            self.brackets.pop()
        elif lexeme.type == "NAME" and self.name is None:
            self.name = lexeme
        if self.machine.statement_begins:
            self.statement, self.name = lexeme, None
            self.mended = False
            self.brackets.clear()

    def feed_missing(self, type_: str, value: str, before: Lexeme) -> None:
        """Take a token that the author left out."""
        self.feed(Lexeme(type_, value, before.start_pos, before.start_pos))

    def take(self, lexeme: Lexeme) -> None:
        """Take a token, or find the remedy."""
        if self.machine.accepts(lexeme.type):
            self.feed(lexeme)
            return
        for remedy in REMEDIES:
            if remedy(self, lexeme):
                return
        raise AssertionError("the last remedy is for everything")

    def give_up(self, lexeme: Lexeme) -> None:
        """Leave the statement being read, and go on at the next one from this lexeme on."""
        self.reader.push_back(lexeme)
        if self.statement is not None and self._in_head(self.statement):
            self._go_on_behind_head(self.statement, self.name)
            return
        if self.previous is not None and self.machine.complete and (lexeme.fresh or self.previous.type == "RBRACE"):
            self.machine.finish_statement()
        self.machine.drop_statement()
        self._skip_to_statement()

    def at_statement(self, lexeme: Lexeme) -> bool:
        """Whether a statement may begin at this lexeme, by what is open and where it stands."""
        braces = self.previous is None or self.previous.type in ("LBRACE", "RBRACE")
        return self.machine.complete and (lexeme.fresh or braces)

    @property
    def kind(self) -> str:
        """The kind of the innermost open block, or the word for the file itself."""
        return self.blocks[-1].kind if self.blocks else FILE

    def indent(self, lexeme: Lexeme) -> int:
        """Characters before the lexeme's line begins to say something."""
        line = self.source.text.rfind("\n", 0, lexeme.start_pos) + 1
        end = line
        while end < lexeme.start_pos and self.source.text[end] in " \t\ufeff":
            end += 1
        return end - line

    # ------------------------------------------------------------ one lexeme

    def _full(self) -> bool:
        return len(self.diagnostics) + len(self.builder.diagnostics) > MAX_DIAGNOSTICS

    def _take_new(self, lexeme: Lexeme) -> None:
        if lexeme.slip is not None:
            self.report(lexeme.slip)
        if lexeme.type == NOTHING:
            if lexeme.fresh:
                self.reader.peek().fresh = True
            return
        if lexeme.type == "BINARY":
            self.reader.skip_to(len(self.source.text))
            return
        if lexeme.type == UNREADABLE:
            self.give_up(self.reader.next())
            return
        too_long = _too_long(self.span(lexeme), lexeme)
        if too_long is not None:
            self.report(too_long)
            self.give_up(self.reader.next())
            return
        if lexeme.fresh:
            self._watch_indent(lexeme)
        self.take(lexeme)

    def _watch_indent(self, lexeme: Lexeme) -> None:
        """Supply a `}` that is known to be missing here, or note that one may be."""
        if not self.blocks:
            return
        indent = self.indent(lexeme)
        if lexeme.start_pos in self.closings:
            self.report(slips.unclosed_block(self.blocks[-1].head, ()))
            if not self.machine.complete:
                self.machine.drop_statement()
            self.feed_missing("RBRACE", "}", lexeme)
            return
        innermost = self.blocks[-1]
        if self._suspect is not None:
            return
        outward = indent < innermost.indent
        if lexeme.type in STATEMENT_TYPES and indent == innermost.indent and self.machine.complete:
            outward = innermost.kind not in PLACEMENT.get(lexeme.value, {innermost.kind})
        if outward:
            self._suspect = lexeme.start_pos

    def _open(self, brace: Lexeme) -> None:
        kind = self.statement or brace
        head = Span(self.source, kind.start_pos, max(brace.end_pos, kind.end_pos))
        self.blocks.append(OpenBlock(kind.value, head, self.indent(kind)))

    # ------------------------------------------------------------ going on

    def _in_head(self, statement: Lexeme) -> bool:
        return (
            statement.type in BLOCK_TYPES
            and not self.machine.complete
            and self.previous is not None
            and self.previous.type != "LBRACE"
        )

    def _go_on_behind_head(self, kind: Lexeme, name: Lexeme | None) -> None:
        """Read the block of a head that is broken; without its name, nothing of it is used."""
        self.machine.drop_statement()
        skipped = self.reader.next()
        while skipped.type not in ("LBRACE", "RBRACE", END) and not (skipped.fresh and self._begins(skipped)):
            skipped = self.reader.next()
        if skipped.type != "LBRACE":
            self.reader.push_back(skipped)
            self._skip_to_statement()
            return
        self.feed(kind)
        if name is None:
            self.spoil(kind)
            self.feed_missing("NAME", "", skipped)
        else:
            self.feed(name)
        self.feed(skipped)

    def _skip_to_statement(self) -> None:
        depth = 0
        self.brackets.clear()
        previous = None
        while True:
            lexeme = self.reader.next()
            if lexeme.type == END:
                break
            if lexeme.type == "LBRACE":
                depth += 1
            elif lexeme.type == "RBRACE":
                if depth == 0:
                    break
                depth -= 1
            elif depth == 0 and self._begins(lexeme, previous):
                break
            previous = lexeme
        self.reader.push_back(lexeme)
        self.builder.depth = len(self.blocks) + (lexeme.type == "LBRACE") - (lexeme.type == "RBRACE")

    def _begins(self, lexeme: Lexeme, previous: Lexeme | None = None) -> bool:
        """Whether a lexeme begins a statement, as far as it and the next one tell."""
        if lexeme.type not in STATEMENT_TYPES:
            return False
        following = self.reader.peek()
        if self.machine.accepts(lexeme.type, following.type):
            return True
        first = lexeme.fresh or (previous is not None and previous.type == "RBRACE")
        return first and following.type not in _CONTINUING

    def _close(self, *, quietly: bool) -> list[Any]:
        """Bring the parse to its end; the items of the file."""
        end = Lexeme(END, "", len(self.source.text), len(self.source.text), fresh=True)
        if not self.machine.complete:
            if not quietly:
                self.take(end)
            self.machine.drop_statement()
        if self.blocks and not quietly:
            heads = [block.head for block in self.blocks]
            self.report(slips.unclosed_block(heads[-1], heads[-2::-1]))
            self.missing_brace = self._suspect
        while self.blocks:
            self.feed_missing("RBRACE", "}", end)
        items: list[Any] = self.machine.feed(end)
        return items


def _too_long(span: Span, lexeme: Lexeme) -> Diagnostic | None:
    """Numbers are bounded before anything computes with them."""
    length = span.end - span.start
    if lexeme.type in NUMBER_TYPES and has_too_many_digits(lexeme.value):
        return limits.too_many_digits(span, MAX_DIGITS)
    if lexeme.type == "NAME" and length > MAX_NAME_LENGTH:
        return limits.name_too_long(span, MAX_NAME_LENGTH)
    return None


def standing(items: Sequence[Any], spoiled: Sequence[int]) -> list[Any]:
    """The items without the innermost statements around the spoiled places."""
    if not spoiled:
        return list(items)
    kept: list[Any] = []
    for item in items:
        inside = [place for place in spoiled if item.span.start <= place < item.span.end]
        if not inside:
            kept.append(item)
        elif isinstance(item, s.Block) and not any(place < item.head.end for place in inside):
            rest = standing(item.items, inside)
            first_line = any(
                part.span.start <= place < part.span.end for part in (*item.path, item.pack) if part for place in inside
            )
            path, pack = ((), None) if first_line else (item.path, item.pack)
            kept.append(replace(item, items=tuple(rest), path=path, pack=pack))
    return kept

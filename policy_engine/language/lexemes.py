"""Words and signs of a text that has mistakes in it: what was written, and what was meant.

Where no token of the grammar fits, this module says how far the slip goes, reports it and,
if the author's meaning is plain (`$.30`, `'text'`, `&&`), gives the token that was meant, so
that reading goes on as if it were there. It knows nothing of statements.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from policy_engine.language import slips
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source, Span
from policy_engine.language.units import MICROS
from policy_engine.language.vocabulary import BLOCK_KINDS, STATEMENTS

MAX_UNREADABLE = 1000
"""Places that fit no token, after which a text is given up: it is no policy."""

MAX_PASSED_OVER = 50_000
"""Lexemes passed over in one go, after which the same is true."""

END = "$END"
NOTHING = "NOTHING"  # may be passed over, as if it were not there
UNREADABLE = "UNREADABLE"  # nobody knows what was meant


STATEMENT_TYPES = frozenset(word.upper() for word in STATEMENTS) | {"ON_STORE_FAILURE"}
BLOCK_TYPES = frozenset(kind.upper() for kind in BLOCK_KINDS)
NUMBER_TYPES = frozenset({"NUMBER", "MONEY", "PERCENT", "DURATION"})


class RawToken(Protocol):
    type: str
    value: str
    start_pos: int
    end_pos: int


class RawLexer(Protocol):
    """The grammar's own lexer."""

    def next_token(self) -> RawToken | int | None:
        """The next token, the offset where none fits, or None at the end."""

    def skip_to(self, offset: int) -> None:
        """Go on reading at an offset further on."""


@dataclass(slots=True)
class Lexeme:
    """A word or sign; `slip` is what was wrong with it, `fresh` means that it is the first of its line."""

    type: str
    value: str
    start_pos: int
    end_pos: int
    slip: Diagnostic | None = None
    fresh: bool = False


_UNITS = {
    "hours": "h", "hour": "h", "hrs": "h", "hr": "h", "H": "h",
    "minutes": "min", "minute": "min", "mins": "min", "m": "min",
    "seconds": "s", "second": "s", "secs": "s", "sec": "s",
    "milliseconds": "ms", "millis": "ms", "msec": "ms", "msecs": "ms",
    "days": "d", "day": "d", "D": "d",
    "percent": "%", "pct": "%",
    "K": "k", "thousand": "k", "mio": "M", "million": "M", "mn": "M",
}  # fmt: skip
"""Usual spellings of the units, and ours. `m` is `min`: nobody means a millionth."""

_SIGNS = {
    "≥": ("GREATER_EQUAL", ">="), "≤": ("LESS_EQUAL", "<="), "→": ("ARROW", "->"), "⇒": ("ARROW", "->"),
    "×": ("STAR", "*"), "−": ("MINUS", "-"), "–": ("MINUS", "-"), "—": ("MINUS", "-"), "…": ("RANGE", ".."),
}  # fmt: skip

_DIGITS = r"[0-9]+(?:\.[0-9]+)?"
_TEXT_WITH_ESCAPES = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_BAD_ESCAPE = re.compile(r'\\(?:[^"\\]|$)')
_OTHER_QUOTES = re.compile(r"'[^'\n]*'|[“”„«‹‘’‚][^“”„«»‹›‘’\"\n]*[“”»›‘’]")
_COMMENT = re.compile(r"//[^\n]*|/\*(?s:.)*?\*/|/\*[^\n]*")
_BARE_POINT = re.compile(r"[$€£]?\.[0-9]+(?:%|[A-Za-z]+)?(?![A-Za-z0-9_%.])")
_LOOSE_SIGN = re.compile(rf"([$€£])[ \t]+({_DIGITS}[kM]?)(?![A-Za-z0-9_%.])")
_NUMBER_WORD = re.compile(r"[$€£]?[0-9]+(?:\.[0-9]+)*([A-Za-z0-9_%]*)")
_NUMBER = re.compile(_DIGITS)
_SIGN_BEHIND = re.compile(rf"{_DIGITS}[kM]?[ \t]?[$€£](?![0-9.])")
_PERCENT_BEHIND = re.compile(rf"{_DIGITS}[ \t]+%(?![A-Za-z0-9_%])")
_WORD = re.compile(r"\w+")
_FOREIGN = re.compile(r"[^A-Za-z0-9_]")
_JUNK = re.compile(r"[^\w\s\"'#{}()\[\],:=|<>+\-*?$€£%!&;/.]+")


class Reader:
    """The lexemes of one source, in order. A place that fits no token is a lexeme with its slip."""

    def __init__(self, source: Source, lexer: RawLexer) -> None:
        self._source = source
        self._text = source.text
        self._lexer = lexer
        self._ready: deque[Lexeme] = deque()
        self._line_read_to = 0
        self._unreadable = 0
        self.passed_over = 0  # lexemes since one was of use; set back by the reading that used it

    def peek(self) -> Lexeme:
        """The next lexeme, which stays the next."""
        if not self._ready:
            self._read()
        return self._ready[0]

    def next(self) -> Lexeme:
        """The next lexeme; after the last one, `$END` for ever."""
        lexeme = self.peek()
        if lexeme.type is not END:
            self._ready.popleft()
        return lexeme

    def push_back(self, *lexemes: Lexeme) -> None:
        """Give these again, in this order, before all others."""
        self._ready.extendleft(reversed(lexemes))

    def skip_to(self, offset: int) -> None:
        """Pass over the lexemes that begin before an offset."""
        while self.peek().type is not END and self.peek().start_pos < offset:
            self.next()

    # ------------------------------------------------------------ reading

    def _read(self) -> None:
        self.passed_over += 1
        given_up = self._unreadable >= MAX_UNREADABLE or self.passed_over > MAX_PASSED_OVER
        token = None if given_up else self._lexer.next_token()
        if token is None:
            end = len(self._text)
            self._ready.append(Lexeme(END, "", end, end, fresh=True))
            return
        read = self._misread(token) if isinstance(token, int) else [self._token(token)]
        read[0].fresh = self._line_read_to == 0 or "\n" in self._text[self._line_read_to : read[0].start_pos]
        self._line_read_to = max(read[-1].end_pos, 1)
        self._ready.extend(read)

    def _token(self, token: RawToken) -> Lexeme:
        """A token as it is, unless what follows shows that more was meant."""
        lexeme = Lexeme(token.type, str(token.value), token.start_pos, token.end_pos)
        following = self._text[lexeme.end_pos : lexeme.end_pos + 2]
        if lexeme.type == "NAME" and following > "\x7f" and following[0].isalnum():
            return self._foreign_name(lexeme.start_pos)
        if lexeme.type == "NUMBER" and following:
            start = lexeme.start_pos
            if match := _SIGN_BEHIND.match(self._text, start):
                written = f"{match[0][-1]}{match[0][:-1].strip()}"
                return self._meant("MONEY", written, (start, match.end()), slips.sign_after_amount)
            if match := _PERCENT_BEHIND.match(self._text, start):
                written = "".join(match[0].split())
                return self._meant("PERCENT", written, (start, match.end()), slips.split_number)
        return lexeme

    def _misread(self, start: int) -> list[Lexeme]:
        """What stands at a place where no token fits; never empty, and always goes further."""
        self._unreadable += 1
        first = self._text[start]
        if first == '"':
            return [self._text_slip(start)]
        if match := _OTHER_QUOTES.match(self._text, start):
            written = '"' + match[0][1:-1].replace("\\", "\\\\").replace('"', '\\"') + '"'
            return [self._made("STRING", written, start, match.end(), slips.other_quotes)]
        if match := _COMMENT.match(self._text, start):
            return [self._made(NOTHING, "", start, match.end(), slips.foreign_comment)]
        if first == ";":
            return [self._made(NOTHING, "", start, start + 1, slips.needless_separator)]
        if first in "&!≠":
            return self._logic_sign(start)
        if first in _SIGNS:
            type_, written = _SIGNS[first]
            return [self._meant(type_, written, (start, start + 1), slips.typographic_sign)]
        if first in "$€£.0123456789%":
            return [self._number_slip(start)]
        if first.isalnum():
            return [self._foreign_name(start)]
        if first == "\0":
            return [self._made("BINARY", "", start, start + 1, slips.binary)]
        if not first.isprintable():
            end = start + 1
            while end < len(self._text) and self._text[end] not in "\t\n\r" and not self._text[end].isprintable():
                end += 1
            return [self._made(NOTHING, "", start, end, slips.invisible_character)]
        match = _JUNK.match(self._text, start)
        end = match.end() if match else start + 1
        return [self._made(UNREADABLE, "", start, end, slips.unknown_sign)]

    def _text_slip(self, start: int) -> Lexeme:
        if match := _TEXT_WITH_ESCAPES.match(self._text, start):
            lexeme = self._made("STRING", match[0], start, match.end(), slips.unknown_escape)
            # Escapes come in pairs, so the first backslash that fits no pair is the one to blame.
            offset = start + 1
            while not (self._text[offset] == "\\" and self._text[offset + 1] not in '"\\'):
                offset += 2 if self._text[offset] == "\\" else 1
            lexeme.slip = slips.unknown_escape(Span(self._source, offset, offset + 2))
            return lexeme
        line_end = self._text.find("\n", start)
        line = self._text[start : line_end if line_end >= 0 else len(self._text)].rstrip()
        if line[-1] in "{}":
            line = line.rstrip("{} \t") or line[0]
        written = '"' + line[1:].replace("\\", "\\\\") + '"'
        return self._made("STRING", written, start, start + len(line), slips.unclosed_text)

    def _logic_sign(self, start: int) -> list[Lexeme]:
        first = self._text[start]
        if first == "≠" or self._text.startswith("!=", start):
            end = start + (1 if first == "≠" else 2)
            end += self._text.startswith("==", end - 1)  # `!==`
            lexeme = self._meant("IS", "is not", (start, end), slips.sign_for_word)
            return [lexeme, Lexeme("NOT", "not", start, end)]
        end = start + (2 if self._text.startswith(first * 2, start) else 1)
        word = "and" if first == "&" else "not"
        end = start + 1 if word == "not" else end
        return [self._meant(word.upper(), word, (start, end), slips.sign_for_word)]

    def _number_slip(self, start: int) -> Lexeme:
        text = self._text
        if match := _BARE_POINT.match(text, start):
            written = match[0].replace(".", "0.", 1)
            type_ = number_type(written)
            if type_ is None:
                return self._unknown_unit(start, match.end(), written)
            return self._meant(type_, written, (start, match.end()), slips.bare_point)
        if match := _LOOSE_SIGN.match(text, start):
            return self._meant("MONEY", match[1] + match[2], (start, match.end()), slips.split_number)
        match = _NUMBER_WORD.match(text, start)
        if match and match.end() > start:
            return self._unknown_unit(start, match.end(), match[0])
        examples = {"%": "45%", ".": "0.5"}
        example = examples.get(text[start], f"{text[start]}0.30")
        return self._meant(UNREADABLE, example, (start, start + 1), slips.unit_without_number)

    def _unknown_unit(self, start: int, end: int, word: str) -> Lexeme:
        number = _NUMBER.search(word)
        digits = word[: number.end()] if number else word
        unit = word[len(digits) :]
        meant = _UNITS.get(unit) or _UNITS.get(unit.lower())
        if meant == "min" and word[0] in "$€£":
            meant = "M"
        written = f"{digits}{meant}" if meant else None
        type_ = number_type(written) if written else None
        if type_ is None and 2 < len(unit) < 12:
            close = slips.near(unit, [*MICROS, *_UNITS])
            written = f"{digits}{_UNITS.get(close, close)}" if close else None
        slip = slips.unknown_unit(Span(self._source, start, end), unit, written)
        self._lexer.skip_to(end)
        return Lexeme(type_ or UNREADABLE, written or "", start, end, slip)

    def _foreign_name(self, start: int) -> Lexeme:
        match = _WORD.match(self._text, start)
        if match is None:  # a digit or letter that regular expressions do not know as one
            return self._made(UNREADABLE, "", start, start + 1, slips.unknown_sign)
        letter = _FOREIGN.search(match[0])
        if letter is None:  # a reserved word that the grammar does not use yet
            self._lexer.skip_to(match.end())
            return Lexeme(match[0].upper(), match[0], start, match.end())
        return self._meant("NAME", match[0], (start, match.end()), slips.foreign_letter, letter[0])

    def _made(self, type_: str, value: str, start: int, end: int, slip: Callable[[Span], Diagnostic]) -> Lexeme:
        self._lexer.skip_to(end)
        return Lexeme(type_, value, start, end, slip(Span(self._source, start, end)))

    def _meant(
        self,
        type_: str,
        value: str,
        place: tuple[int, int],
        slip: Callable[[Span, str], Diagnostic],
        said: str | None = None,
    ) -> Lexeme:
        """A lexeme whose slip names what was meant."""
        start, end = place
        self._lexer.skip_to(end)
        return Lexeme(type_, value, start, end, slip(Span(self._source, start, end), value if said is None else said))


_TYPES = (
    ("MONEY", re.compile(rf"[$€£]{_DIGITS}[kM]?")),
    ("NUMBER", re.compile(rf"{_DIGITS}[kM]?")),
    ("PERCENT", re.compile(rf"{_DIGITS}%")),
    ("DURATION", re.compile(rf"{_DIGITS}(?:{'|'.join(MICROS)})")),
)


def number_type(written: str) -> str | None:
    """The kind of token this number is, if it is one."""
    return next((type_ for type_, pattern in _TYPES if pattern.fullmatch(written)), None)

"""What to make of a word that cannot stand where it stands: misspelt, reserved, unquoted, of another language.

Remedies as in `remedies.py`, which lists them in the order in which they are asked.
"""

import re
from typing import TYPE_CHECKING

from policy_engine.language import slips
from policy_engine.language.lexemes import END, NUMBER_TYPES, STATEMENT_TYPES, Lexeme
from policy_engine.language.units import MICROS
from policy_engine.language.vocabulary import FILE, PLACEMENT, RESERVED, STATEMENTS

if TYPE_CHECKING:
    from policy_engine.language.recovery import Reading

_BRANCHES = frozenset({"then", "else", "elif", "elsif", "endif", "end"})
_CONDITIONS = frozenset({"if", "where", "while", "whenever"})
_CHUNK = re.compile(r'[^\s{}#"]+')
_TIME_WORDS = {
    **{unit: unit for unit in MICROS},
    "hours": "h", "hour": "h", "minutes": "min", "minute": "min", "mins": "min", "m": "min",
    "seconds": "s", "second": "s", "sec": "s", "secs": "s", "days": "d", "day": "d",
}  # fmt: skip


def capitals(reading: "Reading", found: Lexeme) -> bool:
    word = found.value.lower()
    if found.type != "NAME" or word not in RESERVED or not reading.machine.accepts(word.upper()):
        return False
    reading.report(slips.capitals(reading.span(found)))
    found.value = word
    reading.feed(found, word.upper())
    return True


def branch(reading: "Reading", found: Lexeme) -> bool:
    """`if … then … else`."""
    word = found.value.lower()
    if found.type not in ("NAME", "ELSE") or word not in _BRANCHES | _CONDITIONS:
        return False
    if word in _CONDITIONS and reading.machine.accepts("WHEN") and not reading.at_statement(found):
        reading.report(slips.misspelt_word(reading.span(found), "when"))
        reading.feed(found, "WHEN")
        return True
    reading.report(slips.no_such_branch(reading.span(found)))
    reading.give_up(found)
    return True


def quotes(reading: "Reading", found: Lexeme) -> bool:
    """A text without its quotes: a title, or the name of a model."""
    if not reading.machine.accepts("STRING") or reading.machine.accepts("NAME") or reading.machine.accepts("AND"):
        return False
    if found.type in ("STRING", "LBRACE", "RBRACE", END) or reading.machine.accepts("NUMBER"):
        return False
    source = reading.source
    if found.fresh or (found.type not in ("NAME", *NUMBER_TYPES) and not reading.machine.accepts("LBRACE")):
        return False
    if reading.machine.accepts("LBRACE"):
        last = found
        while reading.reader.peek().type not in ("LBRACE", "RBRACE", END, "STRING") and not reading.reader.peek().fresh:
            last = reading.reader.next()
    else:
        chunk = _CHUNK.match(source.text, found.start_pos)
        if chunk is None:
            return False
        last = Lexeme("STRING", chunk[0], found.start_pos, chunk.end())
        reading.reader.skip_to(chunk.end())
    span = reading.span(found, last)
    reading.report(slips.missing_quotes(span))
    text = span.text.replace("\\", "\\\\").replace('"', '\\"')
    reading.feed(Lexeme("STRING", f'"{text}"', span.start, span.end))
    return True


def split_duration(reading: "Reading", found: Lexeme) -> bool:
    """`within 72 hours`."""
    unit = reading.reader.peek()
    if found.type != "NUMBER" or not reading.machine.accepts("DURATION"):
        return False
    if unit.type != "NAME" or unit.value not in _TIME_WORDS:
        return False
    written = found.value + _TIME_WORDS[reading.reader.next().value]
    reading.report(slips.split_number(reading.span(found, unit), written))
    reading.feed(Lexeme("DURATION", written, found.start_pos, unit.end_pos))
    return True


def near_word(reading: "Reading", found: Lexeme) -> bool:
    """A word of the language with a slip of the fingers in it."""
    if found.type != "NAME":
        return False
    accepted = {type_.lower(): type_ for type_ in reading.machine.accepted() if type_.lower() in RESERVED}
    close = slips.near(found.value, accepted)
    if close is None:
        return False
    span = reading.span(found)
    if close in STATEMENTS:
        if not reading.at_statement(found) and not reading.machine.accepts(close.upper(), reading.reader.peek().type):
            return False
        reading.report(slips.unknown_statement(span, close, ()))
    else:
        reading.report(slips.misspelt_word(span, close))
    found.value = close
    reading.feed(found, accepted[close])
    reading.mended = True
    return True


def near_word_before(reading: "Reading", found: Lexeme) -> bool:
    """`lane premium { alow when …`: a misspelt statement, taken for the first route of the lane."""
    word = reading.previous
    if word is None or word.type != "NAME" or word is not reading.statement:
        return False
    close = slips.near(word.value, STATEMENTS)
    if close is None:
        return False
    reading.machine.drop_statement()
    if not reading.machine.accepts(close.upper(), found.type):
        reading.machine.feed(word)
        return False
    reading.report(slips.unknown_statement(reading.span(word), close, ()))
    word.value = close
    reading.feed(word, close.upper())
    reading.feed(found)
    reading.mended = True
    return True


def unknown_statement(reading: "Reading", found: Lexeme) -> bool:
    if found.type != "NAME" or not reading.at_statement(found):
        return False
    known = [word for word in STATEMENTS if reading.kind in PLACEMENT.get(word, (FILE,)) and word != "shadow"]
    reading.report(slips.unknown_statement(reading.span(found), slips.near(found.value, STATEMENTS), known))
    reading.give_up(found)
    return True


def reserved_name(reading: "Reading", found: Lexeme) -> bool:
    if found.value not in RESERVED or not reading.machine.accepts("NAME"):
        return False
    if found.fresh and found.type in STATEMENT_TYPES:
        return False
    following = reading.reader.peek().type
    declared = following in ("LBRACE", "STRING", "COLON", "OPTIONAL")
    if not (declared or found.type in STATEMENT_TYPES) or not reading.machine.accepts("NAME", following):
        return False
    reading.report(slips.reserved_name(reading.span(found)))
    reading.feed(found, "NAME")
    return True

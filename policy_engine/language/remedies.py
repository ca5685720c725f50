"""What to make of a token that cannot stand where it stands: one function per kind of slip.

A remedy looks at the reading and the token. If the slip is its own, it reports it, mends the
reading or gives the statement up, and returns True. They are asked in the order of `REMEDIES`:
the narrow ones first, the one for everything last.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from policy_engine.language import slips, word_remedies
from policy_engine.language.lexemes import BLOCK_TYPES, END, NUMBER_TYPES, STATEMENT_TYPES, Lexeme
from policy_engine.language.pushdown import readable
from policy_engine.language.vocabulary import RESERVED

if TYPE_CHECKING:
    from policy_engine.language.recovery import Reading

_COMPARISONS = frozenset({"IS", "IN", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"})
_HANGING = _COMPARISONS | frozenset(
    {
        "AND",
        "OR",
        "NOT",
        "PLUS",
        "MINUS",
        "STAR",
        "COMMA",
        "WHEN",
        "UNLESS",
        "ON",
        "PER",
        "OF",
        "ARROW",
        "VBAR",
        "BACKOFF",
        "AS",
        "AT",
        "RANGE",
    }
)
"""What cannot be the last of a statement and is easily left over when a line is deleted."""


Remedy = Callable[["Reading", Lexeme], bool]


def _ends(found: Lexeme) -> bool:
    """Whether a token can be no continuation of the line before it."""
    return found.fresh or found.type in ("RBRACE", END)


def _adjacent(first: Lexeme, second: Lexeme) -> bool:
    return first.end_pos == second.start_pos


# ---------------------------------------------------------------- ends of lines, statements, blocks


def hanging_before_statement(reading: "Reading", found: Lexeme) -> bool:
    """`when a and`, and the next line's `ceiling` was taken for an operand."""
    word, hanging = reading.previous, reading.before_previous
    if word is None or hanging is None or not word.fresh or word.type not in STATEMENT_TYPES:
        return False
    if hanging.type not in _HANGING:
        return False
    reading.report(slips.hanging(reading.span(hanging)))
    reading.previous = hanging
    reading.machine.drop_statement()
    reading.reader.push_back(found)
    reading.give_up(word)
    return True


def stray_brace(reading: "Reading", found: Lexeme) -> bool:
    if found.type != "RBRACE" or reading.blocks or not reading.machine.complete:
        return False
    reading.report(slips.stray_brace(reading.span(found)))
    while reading.reader.peek().type == "RBRACE":  # `}}`: one slip, one message
        reading.reader.next()
    return True


def hanging(reading: "Reading", found: Lexeme) -> bool:
    last = reading.previous
    if last is None or last.type not in _HANGING or not (_ends(found) or found.type in ("RSQB", "RPAR")):
        return False
    if found.type in ("RSQB", "RPAR") and not (last.type == "COMMA" and reading.machine.accepts("NAME", found.type)):
        return False
    reading.report(slips.hanging(reading.span(last)))
    if found.type in ("RSQB", "RPAR"):
        _fill(reading, found)
        reading.feed(found)
    else:
        reading.give_up(found)
    return True


def missing_opening(reading: "Reading", found: Lexeme) -> bool:
    """The contents of a block behind a head that was never opened."""
    head, following = reading.statement, reading.reader.peek()
    if not reading.machine.accepts("LBRACE", found.type) or head is None:
        return False
    if found.fresh and reading.indent(found) <= reading.indent(head) and found.type in STATEMENT_TYPES:
        return False
    first_line = (found.type, following.type) in (("NAME", "ARROW"), ("NUMBER", "NAME"))
    if not found.fresh and not (first_line or reading.machine.accepts("LBRACE", found.type, following.type)):
        return False
    if found.type == "NAME" and not found.fresh and not first_line:
        return False
    last = reading.previous or head
    reading.report(slips.missing_opening(reading.span(head, last)))
    reading.feed_missing("LBRACE", "{", last)
    reading.feed(found)
    return True


def unclosed_bracket(reading: "Reading", found: Lexeme) -> bool:
    closing = "RSQB" if reading.brackets and reading.brackets[-1].type == "LSQB" else "RPAR"
    if not reading.brackets or not reading.machine.accepts(closing) or not _closes_early(reading, found):
        return False
    reading.report(slips.unclosed_bracket(reading.span(reading.brackets[-1])))
    while reading.brackets and reading.machine.accepts(closing):
        reading.feed_missing(closing, "", reading.previous or found)
        closing = "RSQB" if reading.brackets and reading.brackets[-1].type == "LSQB" else "RPAR"
    if reading.machine.accepts(found.type):
        reading.feed(found)
    else:
        reading.give_up(found)
    return True


def _closes_early(reading: "Reading", found: Lexeme) -> bool:
    """Whether a token ends the statement, or begins its next tail."""
    return _ends(found) or found.type in ("WHEN", "UNLESS", "ALERT", "AS", "ON", "BACKOFF", "RPAR", "RSQB")


def unfinished(reading: "Reading", found: Lexeme) -> bool:
    last = reading.previous
    if last is None or not _ends(found) or reading.machine.complete:
        return False
    expected = readable(reading.machine.accepted())
    reading.report_unless_mended(slips.unfinished(reading.span(last), expected))
    reading.give_up(found)
    return True


# ---------------------------------------------------------------- signs


def equals(reading: "Reading", found: Lexeme) -> bool:
    """`=` and `==` for `is`; `=>` and `=<` for a comparison."""
    if found.type != "EQUAL" or not reading.machine.accepts("IS"):
        return False
    last = found
    following = reading.reader.peek()
    if _adjacent(found, following) and following.type in ("EQUAL", "GREATER", "LESS"):
        last = reading.reader.next()
    span = reading.span(found, last)
    if last.type in ("GREATER", "LESS"):
        reading.report(slips.sign_for_word(span, last.value + "="))
        reading.feed(found, f"{last.type}_EQUAL")
        if reading.previous is not None:
            reading.previous.value = last.value + "="
        return True
    reading.report(slips.equals_for_is(span))
    reading.feed(found, "IS")
    return True


def bars(reading: "Reading", found: Lexeme) -> bool:
    """`||` for `or`."""
    if found.type != "VBAR" or not reading.machine.accepts("OR"):
        return False
    last = found
    if reading.reader.peek().type == "VBAR" and _adjacent(found, reading.reader.peek()):
        last = reading.reader.next()
    reading.report(slips.sign_for_word(reading.span(found, last), "or"))
    reading.feed(found, "OR")
    return True


def needless_sign(reading: "Reading", found: Lexeme) -> bool:
    """`price: $3`, `price = $3`."""
    word = reading.previous
    if found.type not in ("EQUAL", "COLON") or word is None or word.value not in RESERVED:
        return False
    if word.type == "FACT" or word.type in BLOCK_TYPES:  # here a name is missing
        return False
    if not reading.machine.accepts(reading.reader.peek().type):
        return False
    reading.report(slips.needless_sign(reading.span(found), word.value))
    return True


def comma(reading: "Reading", found: Lexeme) -> bool:
    """`$1,490`, or a comma at the end of a statement."""
    if found.type != "COMMA":
        return False
    following = reading.reader.peek()
    number = reading.previous
    if number is not None and number.type in NUMBER_TYPES and _adjacent(number, found) and _adjacent(found, following):
        if following.type not in NUMBER_TYPES:
            return False
        last = number
        digits = [number.value]
        while found.type == "COMMA" and _adjacent(found, reading.reader.peek()):
            last = reading.reader.next()
            digits.append(last.value)
            if reading.reader.peek().type != "COMMA" or not _adjacent(last, reading.reader.peek()):
                break
            found = reading.reader.next()
        thousands = all(len(part.split(".")[0].rstrip("kM%")) == 3 for part in digits[1:])
        written = "".join(digits) if thousands or len(digits) > 2 else ".".join(digits)
        reading.report(slips.comma_in_number(reading.span(number, last), written))
        reading.spoil(number)
        return True
    if not _ends(following) or not reading.machine.complete:
        return False
    reading.report(slips.needless_separator(reading.span(found)))
    return True


def chained(reading: "Reading", found: Lexeme) -> bool:
    if found.type not in _COMPARISONS or not reading.machine.accepts("AND"):
        return False
    reading.report(slips.chained_comparison(reading.span(found)))
    reading.give_up(found)
    return True


def double_not(reading: "Reading", found: Lexeme) -> bool:
    if found.type != "NOT" or reading.previous is None or reading.previous.type != "NOT":
        return False
    reading.report(slips.double_not(reading.span(reading.previous, found)))
    reading.spoil(found)
    return True


def no_list(reading: "Reading", found: Lexeme) -> bool:
    """`in growth`, `in (growth, enterprise)`, `in []`."""
    last = reading.previous
    if last is None or (not reading.brackets and last.type != "IN"):
        return False
    if last.type == "IN" and reading.machine.accepts("LSQB"):
        reading.report(
            slips.list_without_brackets(reading.span(found), found.value if found.type in ("NAME", "STRING") else None)
        )
        reading.give_up(found)
        return True
    if last.type == "LSQB" and found.type == "RSQB":
        reading.report(slips.empty_list(reading.span(last, found)))
        _fill(reading, found)
        reading.feed(found)
        return True
    return False


def _fill(reading: "Reading", before: Lexeme) -> None:
    """Put a name where one is missing; its statement is not used."""
    reading.feed_missing("NAME", "", before)
    reading.spoil(before)


def arrow(reading: "Reading", found: Lexeme) -> bool:
    """`mini, sonnet`, `mini > sonnet` in a lane."""
    if not reading.machine.accepts("ARROW"):
        return False
    if found.type in ("COMMA", "GREATER", "EQUAL", "MINUS", "VBAR", "RANGE", "AND"):
        last = found
        if reading.reader.peek().type in ("GREATER", "MINUS") and _adjacent(found, reading.reader.peek()):
            last = reading.reader.next()
        reading.report(slips.missing_arrow(reading.span(found, last)))
        reading.feed(found, "ARROW")
        return True
    if found.type == "NAME" and reading.previous is not None and not found.fresh:
        reading.report(slips.missing_arrow_before(reading.span(found), reading.previous.value))
        reading.feed_missing("ARROW", "->", found)
        reading.feed(found)
        return True
    return False


def missing_comma(reading: "Reading", found: Lexeme) -> bool:
    """`on timeout rate_limit`, `lanes premium standard`, `in [low high]`."""
    last = reading.previous
    if reading.mended or last is None or last.type not in ("NAME", "STRING"):
        return False
    if found.fresh and not reading.brackets:
        return False
    if found.type != last.type or not reading.machine.accepts("COMMA", found.type):
        return False
    reading.report(slips.missing_comma(reading.span(found), last.value))
    reading.feed_missing("COMMA", ",", found)
    reading.feed(found)
    reading.mended = True
    return True


def unexpected(reading: "Reading", found: Lexeme) -> bool:
    """Everything else."""
    if found.type == END:
        return True
    expected = readable(reading.machine.accepted())
    reading.report_unless_mended(slips.unexpected(reading.span(found), expected))
    if found.type == "LBRACE" and reading.previous is not None and reading.previous.type == "LBRACE":
        return True  # `{ {`: the second one is passed over
    reading.give_up(found)
    return True


REMEDIES: tuple[Remedy, ...] = (
    hanging_before_statement,
    stray_brace,
    hanging,
    no_list,
    equals,
    bars,
    needless_sign,
    comma,
    arrow,
    chained,
    double_not,
    word_remedies.capitals,
    word_remedies.branch,
    word_remedies.split_duration,
    word_remedies.near_word,
    word_remedies.near_word_before,
    missing_comma,
    missing_opening,
    word_remedies.quotes,
    word_remedies.unknown_statement,
    unclosed_bracket,
    word_remedies.reserved_name,
    unfinished,
    unexpected,
)

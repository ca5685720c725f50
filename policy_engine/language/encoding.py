"""Bytes → source: UTF-8, with or without its mark; anything else is a mistake with a place."""

from policy_engine.language import slips
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source, Span

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def decode(data: bytes, name: str) -> tuple[Source, tuple[Diagnostic, ...]]:
    """The text of a file, and what is wrong with its encoding, if anything is.

    With a mistake the text is for showing only (what could not be read is replaced) and not worth parsing.
    """
    if data.startswith(_UTF16_MARKS):
        source = Source(name, data.decode("utf-16", errors="replace"))
        return source, (slips.utf16(Span(source, 0, len(source.line_text(1)))),)
    data = data.removeprefix(_UTF8_MARK)
    try:
        return Source(name, data.decode("utf-8")), ()
    except UnicodeDecodeError as failure:
        source = Source(name, data.decode("utf-8", errors="replace"))
        offset = len(data[: failure.start].decode("utf-8"))
        return source, (slips.not_utf8(Span(source, offset, offset + 1), data[failure.start]),)

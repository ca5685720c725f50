"""Syntax tree → canonical text: the same policy, the same comments, one layout.

One statement per line, two blanks of indentation per block, one blank inside a statement
and two before a trailing comment. A block of one statement that was written on one line
stays on one line. One empty line stays where there was one or more; at the head of a file a
block of several lines gets one before and after. A comment inside a statement moves above
it. Lines are never broken.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from policy_engine.language import syntax as s
from policy_engine.language.printer import path_text, statement_text
from policy_engine.language.source import Span

__all__ = ["format_file", "statement_text"]

_INDENT = "  "


def format_file(file: s.File) -> str:
    """The canonical text of a file that was parsed without mistakes. Formatting it again changes nothing."""
    layout = _Layout(file)
    layout.lines_of(_elements(file.items), 0, end=len(file.source.text))
    return layout.text()


@dataclass(frozen=True, slots=True)
class _Element:
    """What stands on a line of its own: a statement, or the first line of a lane or pack."""

    text: str
    span: Span
    block: s.Block | None = None


def _elements(items: tuple[s.Item, ...], block: s.Block | None = None) -> list[_Element]:
    elements = []
    if block is not None and block.path:
        elements.append(_Element(path_text(block.path), block.path[0].span.to(block.path[-1].span)))
    if block is not None and block.pack is not None:
        elements.append(_Element(statement_text(block.pack), block.pack.span))
    blocks = (item if isinstance(item, s.Block) else None for item in items)
    elements += [_Element(statement_text(item), item.span, block) for item, block in zip(items, blocks, strict=True)]
    return elements


class _Layout:
    """The lines so far, and the comments that are still to be placed."""

    def __init__(self, file: s.File) -> None:
        self._source = file.source.text
        self._comments = list(reversed(file.comments))  # the next one is the last
        self._lines: list[str] = []
        self._written_to = 0  # all before this offset has its line
        self._opening = True  # nothing stands in this block yet, so no empty line does
        self._apart = False  # an empty line comes next, whether there was one or not

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)

    def lines_of(self, elements: list[_Element], depth: int, end: int) -> None:
        """Everything between the braces of a block, or of the whole file, up to an offset."""
        after_tall = False
        for element in elements:
            inline = None if element.block is None else self._inline(element.block)
            tall = element.block is not None and inline is None
            self._apart = depth == 0 and (tall or after_tall)
            self._own_lines(element.span.start, depth)
            start = element.span.start
            head_end = element.span.end if element.block is None else element.block.head.end
            for comment in self._until(head_end):
                self._line(comment.text, depth, start)
                self._written_to = start
            if element.block is not None and inline is None:
                self._tall(element.block, depth)
            else:
                self._line(inline or element.text, depth, start)
            self._written_to = element.span.end
            self._trailing()
            after_tall = tall
        self._apart = depth == 0 and after_tall
        self._own_lines(end, depth)
        self._apart = False

    def _inline(self, block: s.Block) -> str | None:
        """The whole block on one line, if it was so written and holds one statement at most."""
        elements = _elements(block.items, block)
        if len(elements) > 1 or _breaks(self._source[block.span.start : block.span.end]):
            return None
        if not elements:
            return f"{statement_text(block)} {{}}"
        within = elements[0].text if elements[0].block is None else self._inline(elements[0].block)
        return f"{statement_text(block)} {{ {within} }}" if within is not None else None

    def _tall(self, block: s.Block, depth: int) -> None:
        self._line(f"{statement_text(block)} {{", depth, block.span.start)
        self._written_to = block.head.end
        self._trailing()
        self._opening = True
        self.lines_of(_elements(block.items, block), depth + 1, block.span.end - 1)
        self._lines.append(f"{_INDENT * depth}}}")
        self._opening = False

    def _own_lines(self, before: int, depth: int) -> None:
        """The comments up to an offset, each on its own line."""
        for comment in self._until(before):
            self._line(comment.text, depth, comment.span.start)
            self._written_to = comment.span.end

    def _until(self, offset: int) -> Iterator[s.Comment]:
        while self._comments and self._comments[-1].span.start < offset:
            yield self._comments.pop()

    def _line(self, text: str, depth: int, start: int) -> None:
        empty_line = self._apart or _breaks(self._source[self._written_to : start]) > 1
        if empty_line and not self._opening:
            self._lines.append("")
        self._lines.append(_INDENT * depth + text)
        self._opening = self._apart = False

    def _trailing(self) -> None:
        """The comment behind what was written last, on the same line."""
        if not self._comments:
            return
        comment = self._comments[-1]
        between = self._source[self._written_to : comment.span.start]
        if not between.strip(" \t\f\ufeff"):
            self._lines[-1] += f"  {self._comments.pop().text}"
            self._written_to = comment.span.end


def _breaks(text: str) -> int:
    """Line breaks of any convention."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")

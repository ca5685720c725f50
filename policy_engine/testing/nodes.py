"""YAML text → nodes with places, and what a scalar means.

The events of PyYAML's parser (the C one where it is there) become nodes that know where they
stand; nothing is resolved by YAML's own rules. A plain scalar means what it looks like:

- `true` and `false` are truth values; `null`, `~` and nothing at all mean "not given";
- `12`, `-3`, `0.5` are numbers, exactly as written;
- all else is text: `no`, `on`, `1e3`, `010`, `1_000`, `1:30`, `2026-03-01`, `.5`; so is everything in quotes.

Anchors, aliases and tags are mistakes (a test file has named fixtures), and so is a key written twice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml

from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source, Span
from policy_engine.testing import mistakes

MAX_DEPTH = 40
MAX_CHARACTERS = 5_000_000

Scalar = str | int | float | Decimal | bool | None

_LOADER: type = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)\.\d+", re.ASCII)
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(slots=True, eq=False)
class Node:
    """One value of a file: a scalar, a mapping or a list. `key` is where its name stands, if it has one."""

    value: "Scalar | dict[str, Node] | list[Node]"
    span: Span
    key: Span | None = None

    @property
    def named(self) -> Span:
        """The key, else the value: what to underline when the entry as a whole is meant."""
        return self.key if self.key is not None else self.span

    def plain(self) -> Any:
        """The value without places: dictionaries, lists and scalars."""
        value = self.value
        if isinstance(value, dict):
            return {name: node.plain() for name, node in value.items()}
        if isinstance(value, list):
            return [node.plain() for node in value]
        return value

    def at(self, path: "tuple[str | int, ...]") -> "Node":
        """The node at a path, or the last one on the way to it."""
        here = self
        for step in path:
            value = here.value
            if isinstance(value, dict) and step in value:
                here = value[str(step)]
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                here = value[step]
            else:
                break
        return here


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read."""

    node: Node
    waiting: tuple[str, Span] | None = None  # a key whose value comes next
    keys: dict[str, Span] = field(default_factory=dict)


def compose(source: Source) -> tuple[Node | None, list[Diagnostic]]:
    """The one document of a text, and what is wrong with it as YAML. None: nothing in it, or not to be read."""
    if len(source.text) > MAX_CHARACTERS:
        return None, [mistakes.too_long(Span(source, 0, 1), MAX_CHARACTERS)]
    found: list[Diagnostic] = []
    try:
        root = _build(source, yaml.parse(source.text, Loader=_LOADER), found)
    except yaml.YAMLError as error:
        return None, [*found, mistakes.not_yaml(source, error)]
    return root, found


def scalar(text: str) -> Scalar:
    """What a plain scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text) and len(text) <= 30:
        return int(text)
    if _DECIMAL.fullmatch(text):
        number = float(text)
        # A float counts as what its `repr` says; where that is another number, the exact one is kept.
        return number if Decimal(repr(number)) == Decimal(text) else Decimal(text)
    return text


def _build(source: Source, events: Iterator[Any], found: list[Diagnostic]) -> Node | None:
    root: Node | None = None
    documents = 0
    stack: list[_Open] = []
    for event in events:
        if isinstance(event, yaml.ScalarEvent):
            span = _span(source, event)
            value = scalar(event.value) if event.implicit[0] else event.value
            if stack and isinstance(stack[-1].node.value, dict) and stack[-1].waiting is None:
                _forbid_marks(event, span, found)
                _name(stack[-1], event.value, span, found)
                continue
            node = Node(value, span)
        elif isinstance(event, yaml.CollectionStartEvent):
            span = _span(source, event)
            if len(stack) >= MAX_DEPTH:
                found.append(mistakes.too_deep(span, MAX_DEPTH))
                return None
            node = Node({} if isinstance(event, yaml.MappingStartEvent) else [], span)
            if stack and isinstance(stack[-1].node.value, dict) and stack[-1].waiting is None:
                found.append(mistakes.key_no_text(span))
                stack[-1].waiting = ("", span)
                stack.append(_Open(node))
                continue
        elif isinstance(event, yaml.CollectionEndEvent):
            done = stack.pop()
            # A block ends where its last entry does: the parser says where the next one begins.
            last = _last(done.node)
            end = _span(source, event).end if last is None or _closes(source, event) else last.span.end
            done.node.span = Span(source, done.node.span.start, max(end, done.node.span.start + 1))
            continue
        elif isinstance(event, yaml.AliasEvent):
            span = _span(source, event)
            found.append(mistakes.marked(span, "alias"))
            node = Node(None, span)
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents == 2:
                found.append(mistakes.second_document(_span(source, event)))
                return root
            continue
        else:
            continue
        _forbid_marks(event, span, found)
        if not stack:
            root = node
        else:
            _put(stack[-1], node)
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(node))
    return root


def _span(source: Source, event: Any) -> Span:
    return Span(source, event.start_mark.index, event.end_mark.index)


def _closes(source: Source, event: Any) -> bool:
    return source.text[event.start_mark.index : event.end_mark.index] in ("]", "}")


def _last(node: Node) -> Node | None:
    if isinstance(node.value, dict):
        return next(reversed(node.value.values()), None)
    return node.value[-1] if isinstance(node.value, list) and node.value else None


def _name(here: _Open, name: str, span: Span, found: list[Diagnostic]) -> None:
    if name in here.keys:
        found.append(mistakes.twice(name, span, here.keys[name]))
    here.keys.setdefault(name, span)
    here.waiting = (name, span)


def _put(here: _Open, node: Node) -> None:
    if isinstance(here.node.value, list):
        here.node.value.append(node)
    elif isinstance(here.node.value, dict) and here.waiting is not None:
        name, span = here.waiting
        node.key = span
        here.node.value.setdefault(name, node)
        here.waiting = None


def _forbid_marks(event: Any, span: Span, found: list[Diagnostic]) -> None:
    if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
        found.append(mistakes.marked(span, "anchor"))
    if getattr(event, "tag", None) is not None:
        found.append(mistakes.marked(span, "tag"))

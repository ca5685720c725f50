"""The part of Mermaid's flowchart grammar that paths are drawn in, read strictly: anything else is a mistake.

The drawings of the example policies, and one full of signs that mean something to Mermaid, were also
accepted by Mermaid's own parser (11.x), which is no Python package.
"""

import re

_TEXT = r'"((?:[^"#&<>`%]|#(?:35|37|96|quot|amp|lt|gt);|<br/>)*)"'
_ID = r"([a-z]+\d+(?:_\d+)?)"
_SUBGRAPH = re.compile(rf"  subgraph {_ID}\[{_TEXT}\]")
_BOX = re.compile(rf"    {_ID}(?:\[{_TEXT}\]|\(\[{_TEXT}\]\)|\(\({_TEXT}\)\))")
_ARROW = re.compile(rf"    {_ID} -->\|{_TEXT}\| {_ID}")
_SIGNS = {"#35;": "#", "#37;": "%", "#96;": "`", "#quot;": '"', "#amp;": "&", "#lt;": "<", "#gt;": ">"}


def read(text: str) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """The boxes by id, with their texts, and the arrows: from, text, to. Raises `AssertionError` for anything else."""
    lines = text.split("\n")
    assert lines[0] == "flowchart TD"
    assert lines[-1] == ""
    boxes: dict[str, str] = {}
    arrows: list[tuple[str, str, str]] = []
    open_frame = False
    for line in lines[1:-1]:
        if found := _SUBGRAPH.fullmatch(line):
            assert not open_frame
            open_frame = True
            assert found[1] not in boxes
            boxes[found[1]] = _shown(found[2])
        elif line == "  end":
            assert open_frame
            open_frame = False
        elif found := _ARROW.fullmatch(line):
            assert open_frame
            assert {found[1], found[3]} <= set(boxes), "an arrow to no box"
            arrows.append((found[1], _shown(found[2]), found[3]))
        else:
            found = _BOX.fullmatch(line)
            assert found, f"no line of a flowchart: {line}"
            assert open_frame
            assert found[1] not in boxes
            boxes[found[1]] = _shown(next(text for text in found.groups()[1:] if text is not None))
    assert not open_frame
    return boxes, arrows


def _shown(text: str) -> str:
    return re.sub(r"#(?:\d+|[a-z]+);", lambda found: _SIGNS[found[0]], text)

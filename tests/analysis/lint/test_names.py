"""Names and layout: what nothing uses, what is nearly something else, and what stands in too wide a block."""

import pytest

from policy_engine.language.formatter import format_file
from policy_engine.language.parser import parse
from policy_engine.language.source import Source
from tests.analysis.lint.underlined import one_outcome, underlined

USED = "lane standard { mini -> sonnet -> web -> dear_web -> desk }"


def test_routes_and_lanes() -> None:
    assert underlined("L070", one_outcome(lanes=USED)) == []
    assert underlined("L070", one_outcome(lanes="lane standard { mini -> sonnet -> web }")) == ["dear_web", "desk"]
    rules = "fallback desk on any\nfallback dear_web on timeout"
    assert underlined("L070", one_outcome(lanes="lane standard { mini -> sonnet -> web }", rules=rules)) == []
    spare = one_outcome(lanes=USED, file="lane".upper().lower() + " spare { mini }")
    assert underlined("L071", spare) == ["spare"]
    assert underlined("L071", one_outcome(lanes=USED)) == []


@pytest.mark.parametrize(
    ("packs", "found"),
    [
        ("pack a { 100 reply for $65 }\npack b { 100 reply for $70 }", ["b"]),
        ("pack a { 100 reply for $65 expires 30d }\npack b { 100 reply for $70 }", []),  # b never expires
        ("pack a { 100 reply for $65 }\npack b { 200 reply for $65 }", ["a"]),
        ("pack a { 100 reply for $65 }\npack b { 50 reply for $40 }", []),
        ("pack a { 100 reply for $65 }\npack b { 100 reply for $65 }", ["b"]),  # the same again
        ("pack a { 100 reply for $65 expires 90d }\npack b { 100 reply for $65 expires 89d }", ["b"]),
    ],
)
def test_packs(packs: str, found: list[str]) -> None:
    assert underlined("L072", one_outcome(lanes=USED, file=packs)) == found


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("retry 1 on timeout", ["odd"]),
        ("retry 1 on odd", []),
        ("fallback next on odd", []),
        ("fallback next on any", []),
        ("fallback next", []),
        ("retry 1", []),
    ],
)
def test_errors(rules: str, found: list[str]) -> None:
    assert underlined("L073", one_outcome(lanes=USED, rules=rules, head="error odd")) == found


def test_layout_is_asked_for() -> None:
    text = one_outcome(lanes=USED)
    (first,) = underlined("L074", text)
    assert first == "currency USD"  # an empty line stands before it
    assert underlined("L074", "currency USD\n\n\n") == ["currency USD"]  # nothing but empty lines differs
    formatted = format_file(parse(Source("x", text))[0])
    assert underlined("L074", formatted) == []
    assert underlined("L07", text) == []


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("error stale_index\nerror staleindex", ["staleindex"]),
        ("error stale_index\nerror stale_indexs", ["stale_indexs"]),
        ("error stale_index\nerror Stale_index", ["Stale_index"]),
        ("error stale_index\nerror stael_index", ["stael_index"]),
        ("error stale_index\nerror stalle_index", ["stalle_index"]),
        ("error stale_index\nerror stale_page", []),
        ("error tier1\nerror tier2\nerror tier11\nerror tier12\nerror tier21", []),
        ("error draft_a\nerror draft_b", []),
        ("error bus\nerror bu", []),
        ("fact a: note | notes | noted", ["notes"]),
        ("fact a: note | ntoe", ["ntoe"]),
        ("fact a: note | other\nfact b: notes | others", []),  # values belong to their fact
        ("error abdc\nerror bacd", []),  # two slips apart
    ],
)
def test_near_duplicates(head: str, found: list[str]) -> None:
    assert underlined("L075", one_outcome(lanes=USED, head=head)) == found


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("ceiling $1 per outcome when outcome is reply", True),
        ("ceiling $1 per attempt when route is mini", True),
        ("ceiling 5 attempts per outcome when lane is premium", True),
        ("ceiling $1 per outcome when plan is team", True),
        ("ceiling $1 per day when outcome is reply", False),  # counts all work
        ("ceiling $1 per outcome unless plan is team", False),
        ("ceiling $1 per outcome when plan in [team, free]", False),
        ("ceiling $1 per outcome when plan is team and lane is premium", False),
        ("retry 1 on timeout when route is mini", True),
        ("forbid when plan is free", True),
        ("allow when plan is team", False),  # for all others it is a refusal
        ("limit 5 per day when plan is team", False),
        ("fallback next on any when lane is premium", False),  # order decides
    ],
)
def test_wider_blocks(rule: str, found: bool) -> None:
    file = f"{rule}\nplan team {{ includes 5 reply }}\nplan free {{ includes 1 reply }}\n"
    other = "workflow sales { outcome note { price $1  lanes standard } }"
    text = one_outcome(lanes=f"{USED}\nlane premium {{ sonnet }}", file=file + other)
    assert underlined("L076", text) == ([rule] if found else [])


def test_a_workflow_is_wider_than_its_outcome() -> None:
    rules = "retry 1 on timeout when outcome is reply\n  ceiling $1 per outcome when lane is premium"
    other = f"outcome note {{ price $1  lanes standard }}\n  {rules}"
    text = one_outcome(lanes=USED, file="lane premium { mini }").replace(
        "workflow support {", f"workflow support {{ {other}"
    )
    text = text.replace("lanes standard\n", "lanes premium, standard\n")
    assert underlined("L076", text) == ["retry 1 on timeout when outcome is reply"]

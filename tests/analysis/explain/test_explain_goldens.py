"""Every sentence on the example policies, as its reader sees it: `golden/SET.KIND.txt`.

`pytest --update-golden` rewrites them; read the difference before you commit it.
"""

from pathlib import Path

import pytest

import policy_engine
from policy_engine.analysis.explain import pages
from policy_engine.analysis.explain.buyer import leaflet
from policy_engine.analysis.explain.drawing import mermaid, tree
from policy_engine.analysis.explain.governing import Explanation, explain, groundless
from policy_engine.analysis.explain.path import paths
from policy_engine.language.checked import CheckedPolicy

ROOT = Path(__file__).resolve().parent.parent.parent.parent
GOLDEN = Path(__file__).resolve().parent / "golden"
SETS = {"page": ROOT / "tests" / "data" / "page.policy"} | {
    path.name: path for path in sorted((ROOT / "policies").iterdir()) if path.is_dir()
}


def engineer(checked: CheckedPolicy) -> str:
    found = [
        explain(checked, outcome, plan, lane)
        for outcome in checked.outcomes
        for plan in (None, *checked.plans)
        for lane in ((None,) if plan is not None else (None, *checked.outcomes[outcome].lanes))
    ]
    assert not groundless(checked)
    return "\n".join(map(_told, found))


def _told(found: Explanation) -> str:
    lines = [f"# {found.outcome}, plan {found.plan or 'any'}, lane {found.lane or 'any'}"]
    for section in found.sections:
        lines.append(section.title)
        for line in section.lines:
            idle = f" [idle: {', '.join(other.ref.name for other in line.idle)}]" if line.idle else ""
            file = Path(line.ref.file).name
            lines.append(f"  {line.sentence}{idle} {file}:{line.ref.line}:{line.ref.column}")
        lines += [f"  ({section.note})"] if section.note else []
    return "\n".join([*lines, ""])


def buyer(checked: CheckedPolicy) -> str:
    found = leaflet(checked)
    parts = [*pages.text(found), "", *pages.markdown(found), "", *pages.html(found), ""]
    return "\n".join([*parts, *(f"note: {note}" for note in found.notes), ""])


def path(checked: CheckedPolicy) -> str:
    lines: list[str] = []
    for outcome in checked.outcomes:
        for found in paths(checked, outcome, None):
            lines += [f"# {found.outcome}, lane {found.lane}", *tree(found, 100), ""]
        lines += [*mermaid(paths(checked, outcome, None)), ""]
    return "\n".join(lines)


KINDS = {"engineer": engineer, "buyer": buyer, "path": path}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SETS)
def test_golden(name: str, kind: str, pytestconfig: pytest.Config) -> None:
    text = KINDS[kind](policy_engine.load(SETS[name]).checked)
    expected = GOLDEN / f"{name}.{kind}.txt"
    if pytestconfig.getoption("--update-golden"):
        GOLDEN.mkdir(exist_ok=True)
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_every_golden_is_of_a_set_and_a_kind() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.{kind}.txt" for name in SETS for kind in KINDS}

"""Every mistake in a test file as its author sees it: pairs `golden/CODE-what-is-wrong.policytest.yaml` and `.txt`.

All are about `golden/desk.policy`. `pytest --update-golden` rewrites the `.txt` files; read the difference.
"""

import re
from pathlib import Path

import pytest

import policy_engine.testing.mistakes
from policy_engine.language.diagnostics import render
from policy_engine.testing.files import TEST_SUFFIX, read

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(GOLDEN.glob(f"*{TEST_SUFFIX}"))


def name(path: Path) -> str:
    return path.name.removesuffix(TEST_SUFFIX)


@pytest.mark.parametrize("path", CASES, ids=name)
def test_golden(path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    file = read(Path(path.name))
    text = render(file.diagnostics) + "\n"
    expected = GOLDEN / f"{name(path)}.txt"
    if pytestconfig.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert {item.code for item in file.diagnostics} == {path.name[:4]}, "one mistake each"
    assert re.search(r"^ +\| +\^", text, re.MULTILINE), "nothing is underlined"
    assert (file.policy, file.cases) == (None, ()), "and nothing of it is run"


def test_every_golden_has_both_halves() -> None:
    assert {name(path) for path in CASES} == {path.stem for path in GOLDEN.glob("*.txt")}


def test_every_mistake_has_a_golden() -> None:
    source = Path(policy_engine.testing.mistakes.__file__).read_text(encoding="utf-8")
    codes = re.findall(r'"(T\d{3})"', source)
    assert len(codes) == len(set(codes)), "no code stands for two mistakes"
    assert set(codes) - {"T007", "T027", "T028"} == {path.name[:4] for path in CASES}, (
        "T007, T027, T028 have tests of their own"
    )

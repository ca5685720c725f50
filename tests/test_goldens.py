"""Every diagnostic as its reader sees it: pairs `golden/CODE-what-is-wrong.policy` and `.txt`, one mistake each.

Three first lines make a `.policy` more than the text it is: `# file: NAME` begins each file of a set of
several, `# repeat N: TEXT` stands for N lines of TEXT (limits would need huge files otherwise), and
`# escapes` lets Python's escapes (`\\xff`, `\\ud800`) stand for what no editor shows.
Of more than ten diagnostics only the last is kept.
`pytest --update-golden` rewrites the `.txt` files; read the difference before you commit it.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from policy_engine.language.diagnostics import Diagnostic, in_order, render
from policy_engine.language.encoding import decode
from policy_engine.language.source import Source
from policy_engine.policy import compile_sources, price
from policy_engine.prices.table import PriceTable

ROOT = Path(__file__).resolve().parent
GOLDEN = ROOT / "golden"
PACKAGE = ROOT.parent / "policy_engine"
CASES = sorted(GOLDEN.glob("*.policy"))

FILE_LINE = re.compile(rb"^# file: (\S+)\n", re.MULTILINE)
REPEAT_LINE = re.compile(rb"^# repeat (\d+): (.*)\n", re.MULTILINE)
SHOWN = 10
CODE_IN_SOURCE = re.compile(r'"(P\d{3})"')


def diagnose(path: Path) -> tuple[Diagnostic, ...]:
    """What is said about one golden, encoding included."""
    data = path.read_bytes().replace(b"\r\n", b"\n")
    if data.startswith(b"# escapes\n"):
        data = data.removeprefix(b"# escapes\n").decode("unicode_escape").encode("latin-1", "surrogatepass")
    data = REPEAT_LINE.sub(lambda line: (line[2] + b"\n") * int(line[1]), data)
    parts = FILE_LINE.split(data)[1:] if FILE_LINE.match(data) else [path.name.encode(), data]
    sources: list[Source] = []
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        source, mistakes = decode(text, name.decode())
        if mistakes:
            return mistakes
        sources.append(source)
    policy, found = compile_sources(sources)
    unpriced = price(policy, PriceTable(policy.currency))[1] if policy is not None else []
    return in_order([*found, *unpriced])


def code_of(path: Path) -> str:
    return path.name.split("-")[0]


def codes_by_file() -> dict[str, list[str]]:
    """Each code in the package, with the files that write it, once for each time; what generates policies only asks."""
    found: dict[str, list[str]] = {}
    for path in sorted({*PACKAGE.rglob("*.py")} - {*PACKAGE.glob("testing/**/*.py")}):
        for code in CODE_IN_SOURCE.findall(path.read_text(encoding="utf-8")):
            found.setdefault(code, []).append(path.name)
    return found


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden(path: Path, pytestconfig: pytest.Config) -> None:
    found = diagnose(path)
    found = found if len(found) <= SHOWN else found[-1:]
    text = render(found) + "\n"
    expected = path.with_suffix(".txt")
    if pytestconfig.getoption("--update-golden"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert {item.code for item in found} == {code_of(path)}, "one mistake each"
    assert re.search(r"^ +\| +\^", text, re.MULTILINE), "nothing is underlined"


def test_the_update_is_refused_in_ci() -> None:
    command = [sys.executable, "-m", "pytest", "--update-golden", "--collect-only", "-q", __file__]
    run = subprocess.run(command, env={**os.environ, "CI": "true"}, capture_output=True, text=True, check=False)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--update-golden" in run.stderr


def test_every_golden_has_both_halves() -> None:
    policies = {path.stem for path in CASES}
    texts = {path.stem for path in GOLDEN.glob("*.txt")}
    assert policies == texts


def test_every_code_has_a_golden_and_every_golden_a_code() -> None:
    assert set(map(code_of, CASES)) == set(codes_by_file())


def test_no_code_stands_for_two_mistakes() -> None:
    assert {code: files for code, files in codes_by_file().items() if len(files) > 1} == {}

"""The grammar reaches the wheel, and works in a bare checkout and in an editable install."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARSE = (
    "import policy_engine, policy_engine.language.parser as p; "
    f"print(policy_engine.load({str(ROOT / 'tests' / 'data' / 'page.policy')!r}).digest, p.grammar_path(), sep='\\n')"
)


def parse_with(path: Path) -> tuple[str, Path]:
    """Digest of the page and the grammar that read it, by the package below `path` alone."""
    code = f"import sys; sys.path.insert(0, {str(path)!r}); {PARSE}"
    done = subprocess.run([sys.executable, "-c", code], cwd=path, capture_output=True, text=True, check=True)
    digest, grammar = done.stdout.split("\n")[:2]
    return digest, Path(grammar)


@pytest.mark.slow
def test_the_wheel_carries_the_grammar(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(unpacked)
    assert "policy_engine/_grammar/policy.lark" in names
    assert "policy_engine/py.typed" in names
    assert not any(name.startswith(("tests/", "policies/", "docs/")) for name in names)
    digest, grammar = parse_with(unpacked)
    assert grammar == unpacked / "policy_engine" / "_grammar" / "policy.lark"
    assert grammar.read_bytes() == (ROOT / "grammar" / "policy.lark").read_bytes()
    assert digest == parse_with(ROOT)[0]


@pytest.mark.slow
def test_a_bare_checkout_reads_its_own_grammar(tmp_path: Path) -> None:
    for folder in ("policy_engine", "grammar"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert parse_with(tmp_path)[1] == tmp_path / "grammar" / "policy.lark"

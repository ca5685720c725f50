"""A test file of a test: text in, file or results out, about the little policy of the goldens."""

import shutil
from pathlib import Path
from textwrap import dedent

from policy_engine.language.diagnostics import render
from policy_engine.testing.cases import Result
from policy_engine.testing.files import TEST_SUFFIX, TestFile, read

POLICY = Path(__file__).parent / "golden" / "desk.policy"


def written(folder: Path, text: str, name: str = "desk") -> Path:
    """A test file in a folder, with the policy beside it."""
    shutil.copy(POLICY, folder / "desk.policy")
    path = folder / f"{name}{TEST_SUFFIX}"
    path.write_text(dedent(text), encoding="utf-8")
    return path


def opened(folder: Path, text: str) -> TestFile:
    """A test file without a mistake."""
    file = read(written(folder, text))
    assert file.policy is not None, render(file.diagnostics)
    return file


def results(folder: Path, text: str) -> list[Result]:
    """What comes of every case."""
    file = opened(folder, text)
    assert file.policy is not None
    return [case.run(file.policy) for case in file.cases]


def only(folder: Path, text: str) -> Result:
    """What comes of the one case."""
    (result,) = results(folder, text)
    return result

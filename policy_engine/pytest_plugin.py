"""pytest runs policy tests: each `NAME.policytest.yaml` is a file of tests, each case in it one test.

Nothing but this module is imported until such a file is collected, so that a project without
policy tests pays nothing for the plugin.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from policy_engine.policy import Policy
    from policy_engine.testing.cases import Case, Result

SUFFIXES = (".policytest.yaml", ".policytest.yml")
_POLICIES = pytest.StashKey[dict[Any, Any]]()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> "PolicyTestFile | None":
    """A test file of a policy, by its name."""
    if file_path.name.endswith(SUFFIXES):
        return PolicyTestFile.from_parent(parent, path=file_path)
    return None


class PolicyTestFile(pytest.File):
    """One test file. A mistake in it, or in its policy, is an error of collection, shown as `policy test` shows it."""

    def collect(self) -> Iterator["PolicyCase"]:
        from policy_engine.language.diagnostics import render
        from policy_engine.testing.files import read

        loaded = self.config.stash.setdefault(_POLICIES, {})
        file = read(_shown(self.path, self.config.invocation_params.dir), loaded)
        if file.policy is None:
            raise self.CollectError(render(file.diagnostics))
        for case in file.cases:
            yield PolicyCase.from_parent(self, name=case.name, case=case, policy=file.policy)


class PolicyCase(pytest.Item):
    """One case: a decision, or a scenario."""

    def __init__(self, *, case: "Case", policy: "Policy", **rest: Any) -> None:
        super().__init__(**rest)
        self.case = case
        self.policy = policy

    def runtest(self) -> None:
        """Run it; the failure carries all that `policy test` would show."""
        result = self.case.run(self.policy)
        if not result.passed:
            raise CaseFailed(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The runner's own words in place of a traceback through it."""
        if not isinstance(excinfo.value, CaseFailed):
            return super().repr_failure(excinfo, style)
        from policy_engine.testing.explanation import Explained

        return Explained(excinfo.value.result, self.policy)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the case stands, for reports and editors."""
        return self.path, self.case.line - 1, self.name


class CaseFailed(Exception):
    """A case that did not pass; its text is what differs, in one line."""

    def __init__(self, result: "Result") -> None:
        from policy_engine.testing.explanation import first_line

        super().__init__(first_line(result))
        self.result = result


def _shown(path: Path, folder: Path) -> Path:
    """The path as it would be written from the folder where pytest was started."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # on another drive
        return path
    return path if relative.startswith("..") else Path(relative)

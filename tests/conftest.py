"""Options of the test run."""

import os

import pytest
from hypothesis import settings

from tests.engines import each_engine
from tests.insight.real import PROPERTY

__all__ = ["each_engine"]

# No test looks at a clock: what is slow here may only be waiting for the machine.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what is printed now into tests/golden")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI"):
        raise pytest.UsageError("--update-golden is for a person who reads the difference, not for CI")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on real traces, so that a run without them does not look like one with them."""
    ran = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        if any(name == PROPERTY for name, _ in report.user_properties)
    ]
    terminalreporter.write_line(f"real-trace tests run: {len(ran)}")

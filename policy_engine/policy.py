"""load(): the stages joined."""

from collections.abc import Sequence

from policy_engine.language import checker, parser
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.diagnostics import Diagnostic, Severity, in_order
from policy_engine.language.source import Source


def compile_sources(sources: Sequence[Source]) -> tuple[CheckedPolicy | None, tuple[Diagnostic, ...]]:
    """The checked policy of a set of sources, or None; and all its diagnostics, in order."""
    files, found = [], []
    for source in sources:
        file, mistakes = parser.parse(source)
        files.append(file)
        found += mistakes
    broken = any(item.severity is Severity.ERROR for item in found)
    policy, mistakes = checker.check(files, partial=broken)
    diagnostics = in_order([*found, *mistakes])
    if any(item.severity is Severity.ERROR for item in diagnostics):
        policy = None
    return policy, diagnostics

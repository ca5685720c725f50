"""What one run of the linter has to tell: the files, the rules that ran, the findings."""

from collections.abc import Iterable
from dataclasses import dataclass

from policy_engine.analysis.lint.rule import Finding, LintRule, Tier
from policy_engine.language.diagnostics import Diagnostic, Severity
from policy_engine.language.source import Source

_WEIGHT = {severity: weight for weight, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`findings` in (file, place) order, allowed ones among them; those in tier `fail_on` or above are faults."""

    sources: tuple[Source, ...]
    rules: tuple[LintRule, ...]
    findings: tuple[Finding, ...]
    fail_on: Tier = Tier.WARNING

    @property
    def reported(self) -> tuple[Finding, ...]:
        """The findings that no comment allows."""
        return tuple(finding for finding in self.findings if finding.allowed_because is None)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that fail the run."""
        return tuple(finding for finding in self.reported if self.is_fault(finding))

    def is_fault(self, finding: Finding) -> bool:
        heavy = _WEIGHT[finding.diagnostic.severity] <= _WEIGHT[self.fail_on.severity]
        return heavy and finding.allowed_because is None


def mistakes(diagnostics: Iterable[Diagnostic]) -> tuple[Finding, ...]:
    """What keeps a policy from loading, as findings under no rule."""
    return tuple(Finding(rule=None, diagnostic=diagnostic) for diagnostic in diagnostics)

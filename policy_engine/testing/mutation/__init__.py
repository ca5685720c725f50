"""Small changes of a policy, and whether its tests notice them."""

from policy_engine.testing.mutation.mutants import Mutant, mutants
from policy_engine.testing.mutation.report import Report, Suggestion, Survivor
from policy_engine.testing.mutation.running import Plan, mutate
from policy_engine.testing.mutation.trial import TestsFailError

__all__ = ["Mutant", "Plan", "Report", "Suggestion", "Survivor", "TestsFailError", "mutants", "mutate"]

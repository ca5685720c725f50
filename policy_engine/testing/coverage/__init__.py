"""What policy tests have seen of a policy: every rule, every comparison, whatever the engine merges."""

from policy_engine.testing.coverage.measure import Coverage, Gap, measure, measured
from policy_engine.testing.coverage.observer import observed
from policy_engine.testing.coverage.tally import Goal, Mark, Subject, Tally

__all__ = ["Coverage", "Gap", "Goal", "Mark", "Subject", "Tally", "measure", "measured", "observed"]

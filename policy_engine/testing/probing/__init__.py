"""Facts at which a rule speaks: right at its limits, with its condition as wanted, wherever its block governs."""

from policy_engine.testing.probing.probes import Probe, Prober, smaller

__all__ = ["Probe", "Prober", "smaller"]

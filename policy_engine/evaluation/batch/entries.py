"""Which columns of whole numbers each decision point has, and the states and events of a settlement."""

from dataclasses import dataclass

from policy_engine.language.vocabulary import Point

MAX_COUNT = 10**12
STATES = ("running", "delivered", "accepted", "rejected", "expired", "reversed", "aborted", "handed_off")
EVENTS = ("deliver", "accept", "reject", "reverse", "lapse", "abort", "hand_off")


@dataclass(frozen=True, slots=True)
class Entry:
    """One whole-number column: its range, what stands for it where it is not given, whether it may be unknown."""

    name: str
    required: bool = False
    default: int | None = None
    least: int = 0
    most: int | None = None

    @property
    def may_be_unknown(self) -> bool:
        return self.default is None and not self.required


_RUNNING = (
    Entry("price_nanos", required=True),
    Entry("attempt", default=1, least=1, most=MAX_COUNT),
    Entry("failures", default=0, most=MAX_COUNT),
    Entry("elapsed_micros", default=0),
    Entry("step_elapsed_micros", default=0),
    Entry("input_tokens", most=MAX_COUNT),
    Entry("escrow_nanos"),
)
NUMBERS: dict[Point, tuple[Entry, ...]] = {
    Point.ATTEMPT: (
        *_RUNNING,
        Entry("max_output_tokens", most=MAX_COUNT),
        Entry("min_output_tokens", most=MAX_COUNT),
        Entry("estimate_nanos"),
    ),
    Point.PROGRESS: (
        *_RUNNING,
        Entry("output_tokens", default=0, most=MAX_COUNT),
        Entry("output_cap", most=MAX_COUNT),
        Entry("attempt_elapsed_micros", default=0),
        Entry("estimate_nanos"),
    ),
    Point.FAILURE: _RUNNING,
    Point.SETTLE: (Entry("price_nanos", required=True), Entry("since_delivery_micros", default=0)),
}
"""The whole-number columns of each point that is batched."""

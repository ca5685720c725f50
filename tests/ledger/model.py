"""What a ledger holds, as plain as can be: the story of every hold, summed up anew at every question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.ledger.protocol import FINAL, Counter, Entry, ExecutionRecord, Hold, Lot


@dataclass
class Story:
    """One hold: `state` is `held`, `settled`, `released`, `lapsed` or `reversed`."""

    hold: Hold
    at: int
    state: str = "held"
    incurred: tuple[int, ...] = ()


@dataclass
class Units:
    """A grant: `taken` by which holds; `carried` by holds that were pruned."""

    owner: tuple[str, str]
    grant: Grant
    taken: set[str] = field(default_factory=set)
    carried: int = 0


class Model:
    def __init__(self) -> None:
        self.stories: dict[str, Story] = {}
        self.lots: dict[str, Units] = {}
        self.records: dict[str, ExecutionRecord] = {}
        self.carried: dict[Counter, int] = {}
        self.documents: dict[tuple[str, str], str] = {}

    # ------------------------------------------------------------ questions

    def reading(self, counter: Counter) -> Reading:
        settled, reserved = self.carried.get(counter, 0), 0
        for story in self.stories.values():
            for place, charge in enumerate(story.hold.charges):
                if charge.counter == counter and story.state == "held":
                    reserved += charge.amount
                if charge.counter == counter and story.state in ("settled", "lapsed"):
                    settled += story.incurred[place]
        return Reading(settled, reserved)

    def left(self, grant: str) -> int:
        lot = self.lots[grant]
        return lot.grant.left - len(lot.taken) - lot.carried

    def lot(self, grant: str) -> Lot:
        units = self.lots[grant]
        held = sum(self.stories[name].state == "held" for name in units.taken)
        return Lot(*units.owner, units.grant, held, len(units.taken) - held + units.carried, units.carried)

    def entry(self, name: str) -> Entry:
        story = self.stories[name]
        return Entry(story.hold, story.state, story.at, story.incurred)

    def fits(self, holds: Sequence[Hold]) -> bool:
        """Whether they fit one after another: each charge and unit sees what those before it take."""
        amounts: dict[Counter, int] = {}
        units: dict[str, int] = {}
        for hold in holds:
            if hold.grant is not None:
                units[hold.grant] = units.get(hold.grant, 0) + 1
                if units[hold.grant] > self.left(hold.grant):
                    return False
            for charge in hold.charges:
                amounts[charge.counter] = amounts.get(charge.counter, 0) + charge.amount
                used = self.reading(charge.counter).used + amounts[charge.counter]
                if charge.limit is not None and used > charge.limit:
                    return False
        return True

    def with_key(self, customer: str, outcome: str, key: str) -> ExecutionRecord | None:
        for record in self.records.values():
            if (record.customer, record.outcome, record.key) == (customer, outcome, key):
                return record
        return None

    def of(self, execution: str) -> list[str]:
        return [name for name, story in self.stories.items() if story.hold.execution == execution]

    # ------------------------------------------------------------ events

    def reserve(self, holds: Sequence[Hold], now: int) -> None:
        for hold in holds:
            self.stories[hold.id] = Story(hold, now)
            if hold.grant is not None:
                self.lots[hold.grant].taken.add(hold.id)

    def settle(self, name: str, actual: Mapping[str, int]) -> set[str]:
        story = self.stories[name]
        if story.state not in ("held", "lapsed"):
            return set()
        charges = story.hold.charges
        story.incurred = tuple(actual.get(charge.counter.meter.quantity, charge.amount) for charge in charges)
        story.state = "settled"
        over = zip(charges, story.incurred, strict=True)
        return {charge.counter.meter.quantity for charge, amount in over if amount > charge.amount}

    def release(self, name: str) -> None:
        if self.stories[name].state in ("held", "lapsed"):
            self._give_back(name, "released")

    def reverse(self, name: str) -> None:
        if self.stories[name].state in ("settled", "lapsed"):
            self._give_back(name, "reversed")

    def renew(self, names: Sequence[str], expires: int | None) -> set[str]:
        for name in names:
            story = self.stories[name]
            if story.state == "held":
                story.hold = replace(story.hold, expires_micros=expires)
        return {name for name in names if self.stories[name].state != "held"}

    def lapse(self, now: int) -> set[str]:
        due = {
            name
            for name, story in self.stories.items()
            if story.state == "held" and story.hold.expires_micros is not None and story.hold.expires_micros <= now
        }
        for name in due:
            self.settle(name, {})
            self.stories[name].state = "lapsed"
        return due

    def prune(self, before: int) -> tuple[int, int]:
        """Answers how many executions and entries."""
        ended = [
            record.id
            for record in self.records.values()
            if record.state in FINAL
            and max(record.admitted_micros, record.delivered_micros or 0) < before
            and all(self.stories[n].state != "held" and self.stories[n].at < before for n in self.of(record.id))
        ]
        entries = [
            name
            for name, story in self.stories.items()
            if story.hold.execution in ended
            or (story.hold.execution not in self.records and story.state != "held" and story.at < before)
        ]
        for name in entries:
            story = self.stories.pop(name)
            for place, charge in enumerate(story.hold.charges):
                own = charge.counter.meter.scope.execution and story.hold.execution in ended
                if story.incurred and not own:
                    self.carried[charge.counter] = self.carried.get(charge.counter, 0) + story.incurred[place]
            grant = story.hold.grant
            if grant is not None and name in self.lots[grant].taken:
                self.lots[grant].taken.discard(name)
                self.lots[grant].carried += 1
        for execution in ended:
            del self.records[execution]
        return len(ended), len(entries)

    def _give_back(self, name: str, state: str) -> None:
        story = self.stories[name]
        story.state, story.incurred = state, ()
        if story.hold.grant is not None:
            self.lots[story.hold.grant].taken.discard(name)

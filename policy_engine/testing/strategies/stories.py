"""Timelines, told by playing them: only what can happen next is chosen from, so every story can be told again."""

from typing import Any

from policy_engine.evaluation.facts import FactError
from policy_engine.language.source import Source, Span
from policy_engine.policy import Policy
from policy_engine.testing.entries import Entries
from policy_engine.testing.given import declared
from policy_engine.testing.nodes import Node
from policy_engine.testing.play import Play, Told
from policy_engine.testing.strategies.asking import Asking
from policy_engine.testing.strategies.picking import Pick
from policy_engine.testing.strategies.words import CUSTOMERS
from policy_engine.testing.timeline import START, Event

Timeline = list[dict[str, Any]]

_WAITS = ("1min", "250ms", "1h", "1d", "40d")
_TOKENS: tuple[dict[str, int], ...] = (
    {"input_tokens": 1000, "max_output_tokens": 500},
    {"input_tokens": 10, "max_output_tokens": 0},
    {},
)
_NOWHERE = Span(Source("<story>", " "), 0, 1)


def told(pick: Pick, policy: Policy, most: int) -> Timeline:
    """A story of up to `most` events."""
    teller = _Teller(pick, policy)
    for _ in range(1 + pick.number(most - 1)):
        teller.go_on()
    return teller.timeline


class _Teller:
    def __init__(self, pick: Pick, policy: Policy) -> None:
        self._pick = pick
        self._policy = policy
        self._asking = Asking(pick, policy)
        self._play = Play(policy, START)
        self.timeline: Timeline = []

    def go_on(self) -> None:
        """One more event, if what was chosen can happen."""
        pick = self._pick
        running = [name for name, told in self._play.told.items() if told.execution is not None]
        if not running or pick.one_in(4):
            return self._elsewhere() if pick.one_in(3) else self._admit()
        name = pick.of(running)
        kind, values = self._next(self._play.told[name])
        return self._tell(
            {kind: values or None, "of": name}, Event(kind, _NOWHERE, _node(), of=name, values=dict(values))
        )

    def _next(self, told: Told) -> tuple[str, dict[str, Any]]:
        """What may happen to an execution next."""
        pick = self._pick
        if told.attempt is not None:
            kind = pick.of(("succeed", "fail", "progress"))
            if kind == "progress":
                return kind, {"output_tokens": pick.of((0, 100, 501))}
            used = pick.of(({}, {"input_tokens": 1000, "output_tokens": 400}))
            error = {"error": pick.of(self._policy.checked.error_classes)} if kind == "fail" else {}
            return kind, {**error, **used}
        ended = told.step is not None and told.step.ended is not None
        if told.execution is not None and told.execution.state == "running" and not ended:
            return "attempt", dict(pick.of(_TOKENS))
        return pick.of(("deliver", "accept", "reject", "reverse", "lapse", "abort")), {}

    def _admit(self) -> None:
        pick, checked = self._pick, self._policy.checked
        values: dict[str, Any] = {
            "customer": pick.of(CUSTOMERS),
            "outcome": pick.of(list(checked.outcomes)),
            "plan": pick.of((None, *checked.plans)),
            **declared(self._policy, self._asking.given()),
        }
        name = f"execution {len(self._play.told) + 1}"
        own = {key: Node(value, _NOWHERE) for key, value in values.items()}
        self._tell({"admit": values, "as": name}, Event("admit", _NOWHERE, _node(), name, given=Entries(own)))

    def _elsewhere(self) -> None:
        packs = list(self._policy.checked.packs)
        if packs and self._pick.number(1):
            bought = {"pack": self._pick.of(packs), "customer": self._pick.of(CUSTOMERS)}
            return self._tell({"top_up": bought}, Event("top_up", _NOWHERE, _node(), values=dict(bought)))
        text = self._pick.of(_WAITS)
        micros = {"1min": 60, "250ms": 0.25, "1h": 3600, "1d": 86_400, "40d": 40 * 86_400}[text]
        return self._tell({"wait": text}, Event("wait", _NOWHERE, _node(), values={"micros": int(micros * 10**6)}))

    def _tell(self, written: dict[str, Any], event: Event) -> None:
        try:
            self._play.happen(event)
        except FactError:  # a fact that a rule of this admission needs was not drawn: nothing happened
            return
        self.timeline.append(written)


def _node() -> Node:
    return Node({}, _NOWHERE)

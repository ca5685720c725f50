"""What ends work for good comes through from wherever it was raised."""

import copy
import pickle
from collections.abc import Callable

import pytest

from policy_engine.runtime.errors import Cut, Denied, HandedOff, InProgress, Stopped, Terminal
from tests.runtime.desk import ASKS, engine


def _denied() -> None:
    engine({"outcome": "forbid as closed"}).execution("draft", customer="acme")


def _stopped() -> None:
    with engine({"outcome": "ceiling $0.10 per outcome"}).execution("draft", customer="acme") as run:
        next(run.step("write", **ASKS))


def _handed_off() -> None:
    made = engine({"outcome": "fallback tier2 on timeout", "lanes": "standard"})
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                raise TimeoutError


def _cut() -> None:
    with engine().execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                for _ in attempt.meter(iter(lambda: "many words ", None)):
                    pass


def _in_progress() -> None:
    made = engine()
    with made.execution("draft", customer="acme", key="ticket"):
        made.execution("draft", customer="acme", key="ticket")


@pytest.mark.parametrize(
    ("kind", "work"),
    [(Denied, _denied), (Stopped, _stopped), (HandedOff, _handed_off), (Cut, _cut), (InProgress, _in_progress)],
)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy])  # noqa: S301 - our own bytes
def test_an_error_comes_through_from_another_process(
    kind: type[Terminal], work: Callable[[], None], again: Callable[[Terminal], Terminal]
) -> None:
    """Of a pool of processes, an error that cannot be unpickled breaks the whole pool."""
    with pytest.raises(kind) as raised:
        work()
    told = again(raised.value)
    assert type(told) is kind
    assert str(told) == str(raised.value)
    assert vars(told) == vars(raised.value)

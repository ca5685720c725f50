"""What the records of a checked policy promise by themselves."""

import copy
import pickle

from policy_engine.language.checked import FILE_LEVEL, SPENT, BlockId, Meter, Scope, meter


def test_there_is_one_object_per_meter() -> None:
    again = Meter("spent", FILE_LEVEL, Scope(execution="outcome"))
    assert again is SPENT
    assert pickle.loads(pickle.dumps(SPENT)) is SPENT  # noqa: S301 - our own bytes
    assert copy.deepcopy(SPENT) is SPENT
    assert Meter("tokens", FILE_LEVEL, Scope(execution="outcome")) is not SPENT


def test_inside_an_execution_only_a_route_tells_attempts_apart() -> None:
    scope = Scope(execution="outcome")
    assert meter("spent", BlockId("lane", "l"), scope) is SPENT
    assert str(meter("spent", BlockId("route", "r"), scope)) == "spent of r per outcome"
    day = Scope(key="customer", window="day")
    assert str(meter("spent", BlockId("lane", "l"), day)) == "spent of l per customer per day"
    assert str(BlockId("file")) == "the file"

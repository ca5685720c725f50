"""One line of a decision log: a decision with everything it was made from. `reading.py` has the way back.

A line is one JSON object:

    format          1
    time            when it was written, UTC with microseconds
    execution       the caller's key of the execution; null where an admission was denied
    execution_id    its id in the ledger; null as well
    customer        whose execution it is
    mode            enforce, or shadow: of an engine that refuses nothing, whatever the decision says
    point           admit, attempt, progress, failure or settle
    facts           the record of `policy_engine.evaluation.facts`, field by field, in nano units and microseconds;
                    counters by their written form as [settled, reserved], null for one that did not answer
    decision        `Decision.to_json()`
    policy_digest   what decided
    price_digest

A declared fact that was not given has no entry, an unknown one is null. Floats are written so that the same float is
read again, so equal policies give equal decisions.
"""

import json
from typing import Any

from msgspec.structs import asdict

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import MISSING, Facts, Reading
from policy_engine.ledger.windows import moment

FORMAT = 1

Entry = dict[str, Any]


def entry_of(
    decision: Decision,
    facts: Facts,
    *,
    now_micros: int,
    mode: str = "enforce",
    customer: str | None = None,
    execution: str | None = None,
    execution_id: str | None = None,
) -> Entry:
    """What is written of one decision."""
    return {
        "format": FORMAT,
        "time": moment(now_micros).isoformat(timespec="microseconds"),
        "execution": execution,
        "execution_id": execution_id,
        "customer": getattr(facts, "customer", customer),
        "mode": mode,
        "point": decision.point,
        "facts": plain_facts(facts),
        "decision": decision.to_json(),
        "policy_digest": decision.digests.policy,
        "price_digest": decision.digests.prices,
    }


def line_of(entry: Entry) -> str:
    """An entry as its line, without the line break; every sign outside ASCII escaped."""
    return json.dumps(entry, separators=(",", ":"))


def plain_facts(facts: Facts) -> dict[str, Any]:
    """The fields of a record as what JSON knows."""
    return {name: _plain(name, getattr(facts, name)) for name in facts.__struct_fields__}


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "given":
        fields = ((field, getattr(value, field)) for field in value.__struct_fields__)
        return {field: given for field, given in fields if given is not MISSING}
    if name == "meters":
        return {str(meter): _pair(reading) for meter, reading in value.items()}
    if name == "escrow":
        return _pair(value)
    if name == "grants":
        return [asdict(grant) for grant in value]
    if name == "visited":
        return list(value)
    return dict(value) if name == "retries" else value


def _pair(reading: Reading | None) -> list[int] | None:
    return None if reading is None else [reading.settled, reading.reserved]

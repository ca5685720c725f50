"""What every other command makes of a price lock."""

import json
from pathlib import Path
from typing import Any

import pytest

from policy_engine.language.units import Rates
from policy_engine.prices.lock import Lock, LockedModel
from policy_engine.prices.table import PriceTable
from tests.cli.conftest import Run
from tests.cli.shop import DAY, LONG, MINI, POLICY, lock_of, shop, three_models, write

__all__ = ["shop", "three_models"]  # fixtures
pytestmark = pytest.mark.usefixtures("three_models")


ASKED = {
    "customer": "acme",
    "outcome": "draft",
    "lane": "standard",
    "route": "mini",
    "step": "s",
    "price": "1",
    "input_tokens": 1000,
    "max_output_tokens": 1000,
}
TESTS = """\
decisions:
  - case: it has a price
    attempt: {outcome: draft, lane: standard, route: mini, input_tokens: 1000, max_output_tokens: 1000}
    expect: {reserved: $0.00075}
"""
TRACE = """\
execution,customer,outcome,route,input_tokens,output_tokens,accepted,time
e1,acme,draft,mini,1000,1000,true,2025-03-03T09:00:00+00:00
"""


def every_command(run: Run, desk: Path, *more: str) -> dict[str, Any]:
    """What each command that reads the policy answers, by its name."""
    (desk / "facts.json").write_text(json.dumps(ASKED))
    (desk / "work.csv").write_text(TRACE)
    asked = {
        "check": ["check", "shop", *more],
        "lint": ["lint", "shop", "--select", "L085,L088", *more],
        "eval": ["eval", "attempt", "-p", "shop", "--facts", "facts.json", "--assume-zero", *more],
        "replay": ["replay", "work.csv", "-p", "shop", *more],
        "explain": ["explain", "-p", "shop", *more],
    }
    return {name: run(*words, "--format", "json") for name, words in asked.items()}


def test_all_commands_price_by_the_lock_beside_the_policy(run: Run, shop: Path, desk: Path) -> None:
    run("prices", "lock", "shop")
    (shop / "a.policytest.yaml").write_text(TESTS)
    digest = PriceTable.read(shop / "prices.lock.json").digest
    found = every_command(run, desk)
    assert {name: result.exit_code for name, result in found.items()} == dict.fromkeys(found, 0)
    assert json.loads(found["check"].stdout)["prices"] == {"file": "shop/prices.lock.json", "digest": digest}
    assert json.loads(found["check"].stdout)["diagnostics"] == []
    assert json.loads(found["lint"].stdout)["findings"] == []
    assert json.loads(found["eval"].stdout)["reserved_nanos"] == 750_000
    assert json.loads(found["eval"].stdout)["price_digest"] == digest
    assert json.loads(found["replay"].stdout)["price_digest"] == digest
    assert run("test", "shop").exit_code == 0
    assert run("check", "shop").stdout == "1 file, 4 rules, prices from shop/prices.lock.json: clean\n"
    assert run("check", "shop", "--strict").exit_code == 0
    linted = run("lint", "shop", "--ignore", "L").stdout.splitlines()[-1]
    assert linted == "1 file, 4 rules, prices from shop/prices.lock.json: clean"


def test_without_a_lock_they_all_say_that_nothing_prices_it(run: Run, shop: Path, desk: Path) -> None:
    (shop / "a.policytest.yaml").write_text(TESTS)
    found = every_command(run, desk)
    codes = {item["code"] for item in json.loads(found["check"].stdout)["diagnostics"]}
    assert codes == {"P299"}
    assert json.loads(found["check"].stdout)["prices"] is None
    assert {item["code"] for item in json.loads(found["lint"].stdout)["findings"]} == {"L085"}
    assert json.loads(found["eval"].stdout)["reason"] == "estimate_unknown"
    assert run("test", "shop").exit_code == 1
    assert run("check", "shop", "--strict").exit_code == 1


def test_the_prices_that_are_named_win(run: Run, shop: Path, desk: Path) -> None:
    run("prices", "lock", "shop")
    (desk / "dear.json").write_text(lock_of(mini=Rates(10**9, 10**9), long=LONG))
    found = every_command(run, desk, "--prices", "dear.json")
    assert json.loads(found["check"].stdout)["prices"]["file"] == "dear.json"
    assert json.loads(found["eval"].stdout)["reserved_nanos"] == 2_000_000_000
    (shop / "prices.lock.json").write_text("damaged")  # and is not looked at
    assert run("check", "shop", "--prices", "dear.json").exit_code == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "shop/prices.lock.json: line 1 is not JSON"),
        ("{}", "shop/prices.lock.json: this is no price lock: it has no `version`"),
        (lock_of(mini=MINI).replace("150000", "0"),
         "shop/prices.lock.json: its content is not what its digest says: it is damaged, or was edited"),
        (Lock.of("EUR", {"maker:mini": LockedModel.of(MINI, catalogue="x", source="y", on=DAY)}).text,
         "shop/prices.lock.json: prices in EUR are of no use to a policy in USD"),
    ],
)  # fmt: skip
def test_a_lock_that_cannot_be_used_stops_every_command(
    run: Run, shop: Path, desk: Path, content: str, message: str
) -> None:
    (shop / "prices.lock.json").write_text(content)
    for name, result in every_command(run, desk).items():
        assert (result.exit_code, result.stdout) == (2, ""), name
        assert result.stderr.startswith(f"Error: {message}\n  "), name
    (shop / "a.policytest.yaml").write_text(TESTS)
    tested = run("test", "shop")
    assert tested.exit_code == 2
    assert f"error[T028]: {message}\n" in tested.stdout


def test_two_locks_are_one_too_many(run: Run, shop: Path, desk: Path) -> None:
    for folder in (shop, desk / "folder"):
        (folder / "prices.lock.json").write_text(lock_of())
    result = run("check", "shop", "folder")
    assert result.stderr == (
        "Error: `shop/prices.lock.json` and `folder/prices.lock.json` both have prices for this policy\n"
        "  name one with `--prices`\n"
    )


def test_check_says_what_the_catalogue_makes_of_a_name(run: Run, shop: Path) -> None:
    write(
        shop,
        POLICY.replace("maker:long", "maker:logn").replace(
            "$1 in, $2 out per 1M tokens", "$1 in, $1 out per 1M tokens"
        ),
    )
    found = json.loads(run("check", "shop", "--format", "json").stdout)["diagnostics"]
    assert [item["hint"] for item in found] == [
        "`policy prices lock` knows its price; or add `rates`",
        "`policy prices lock` knows its price; or add `rates`",
        "did you mean `maker:long`?",
    ]
    write(shop, 'currency USD\nroute r { model "elsewhere:x" }\nroute w { tool "web" }\nlane l { r -> w }\n')
    found = json.loads(run("check", "shop", "--format", "json").stdout)["diagnostics"]
    assert [item["hint"] for item in found] == ["write `rates` on its routes", "add a `cost`"]

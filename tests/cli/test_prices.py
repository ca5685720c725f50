"""`policy prices`, and what every other command makes of a price lock."""

import datetime as dt
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import ClauseEquals, ConditionalPrice, Provider, StartDateConstraint

from policy_engine.cli import catalogue, rewriting
from policy_engine.language.units import Rates, Tier
from policy_engine.prices.lock import Lock, LockedModel
from policy_engine.prices.table import PriceTable
from tests.cli.conftest import Run
from tests.prices.test_catalogue import batch, model, price

DAY = dt.date(2026, 11, 22)
VERSION = "0.2.3"

POLICY = """\
currency USD
route mini  { model "maker:mini" }
route again { model "maker:mini" }
route long  { model "maker:long"  ceiling 300k tokens per attempt as cap }
route own   { model "maker:unheard of"  rates $1 in, $2 out per 1M tokens }
lane standard { mini -> long -> own }
workflow support {
  outcome draft {
    price $1
    lanes standard
    ceiling 4 attempts per outcome
    ceiling 100k tokens per attempt as tokens_of_draft
    fallback next on any
  }
}
"""
MODELS = [
    model("mini", price(input_mtok="0.15", output_mtok="0.60", cache_read_mtok="0.075"),
          batch(input_mtok="0.075", output_mtok="0.30")),
    model("long", price(input_mtok="3 200000:6", output_mtok="15 200000:22.5", cache_write_mtok="3.75 200000:7.5")),
    model("soon", [ConditionalPrice(prices=price(input_mtok="1", output_mtok="2")),
                   ConditionalPrice(constraint=StartDateConstraint(start_date=dt.date(2026, 12, 1)),
                                    prices=price(input_mtok="2", output_mtok="4"))]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import genai_prices

    monkeypatch.setattr(genai_prices, "__version__", VERSION)
    monkeypatch.setattr(catalogue, "today", lambda: DAY)
    maker = Provider(id="maker", name="Maker", api_pattern="x", models=MODELS, model_match=ClauseEquals(equals="soon"))
    set_custom_snapshot(DataSnapshot(providers=[maker], from_auto_update=False))
    yield
    set_custom_snapshot(None)


@pytest.fixture
def shop(desk: Path) -> Path:
    """A directory with the policy above, below the working directory."""
    (desk / "shop").mkdir()
    (desk / "shop" / "a.policy").write_text(POLICY, encoding="utf-8")
    (desk / "other").mkdir()
    (desk / "other" / "b.policy").write_text("error stale\n", encoding="utf-8")
    return desk / "shop"


def write(folder: Path, text: str) -> None:
    (folder / "a.policy").write_text(text, encoding="utf-8")


def lock_of(**rates: Rates) -> str:
    """A lock with these models of the maker."""
    entries = {
        f"maker:{name}": LockedModel.of(each, catalogue=f"maker/{name}", source="genai-prices 0.1.0", on=DAY)
        for name, each in rates.items()
    }
    return Lock.of("USD", entries).text


SEVERAL = "the policy lies in several directories"
MINI = Rates(150_000, 600_000, 75_000, batch=Rates(75_000, 300_000, 75_000))
LONG = Rates(
    3_000_000,
    15_000_000,
    cached_write_picos=3_750_000,
    tiers=(Tier(200_000, Rates(6_000_000, 22_500_000, cached_write_picos=7_500_000)),),
)

# ---------------------------------------------------------------- lock


@pytest.mark.parametrize("path", ["shop", "shop/a.policy"])
def test_lock_writes_the_prices_of_the_models_that_are_left_to_it(run: Run, shop: Path, path: str) -> None:
    result = run("prices", "lock", path)
    assert result.stdout == (
        "shop/prices.lock.json: 2 models, genai-prices 0.2.3, 2026-11-22\n"
        "  per million tokens  input  cached  output  estimated\n"
        "  maker:long             $3             $15  $3.75 in, $15 out\n"
        "    above 200,000        $6          $22.50  $7.50 in, $22.50 out\n"
        "  maker:mini          $0.15  $0.075   $0.60  $0.15 in, $0.60 out\n"
    )
    assert (result.stderr, result.exit_code) == ("", 0)
    table = PriceTable.read(shop / "prices.lock.json")
    assert dict(table.rates) == {"maker:mini": MINI, "maker:long": LONG}
    before = (shop / "prices.lock.json").read_bytes()
    assert run("prices", "lock", path).exit_code == 0
    assert (shop / "prices.lock.json").read_bytes() == before


def test_two_policies_of_one_directory_are_told_when_one_takes_the_lock_of_the_other(run: Run, shop: Path) -> None:
    (shop / "b.policy").write_text('currency USD\nroute soon { model "soon" }\n', encoding="utf-8")
    assert run("prices", "lock", "shop/b.policy").stdout.splitlines()[:3] == [
        "shop/prices.lock.json: 1 model, genai-prices 0.2.3, 2026-11-22",
        "  per million tokens  input  output  estimated",
        "  soon                   $1      $2  $1 in, $2 out  as maker/soon",  # found by its name alone
    ]
    result = run("prices", "lock", "shop/a.policy", "--format", "json")
    assert json.loads(result.stdout)["dropped"] == ["soon"]


def test_lock_in_json(run: Run, shop: Path) -> None:
    data = json.loads(run("prices", "lock", "shop", "--format", "json").stdout)
    assert data == {
        "file": "shop/prices.lock.json",
        "digest": json.loads((shop / "prices.lock.json").read_text())["digest"],
        "models": ["maker:long", "maker:mini"],
        "dropped": [],
        "unlisted": [],
    }


def test_lock_says_what_it_could_not_price_and_writes_the_rest(run: Run, shop: Path) -> None:
    write(
        shop,
        POLICY.replace("maker:long", "maker:logn").replace(
            "again { model", 'other { model "x9:y" } route again { model'
        ),
    )
    result = run("prices", "lock", "shop")
    assert result.stderr == (
        "Error: x9:y: the catalogue has no provider `x9`\n"
        "  write `rates` on its routes\n"
        "Error: maker:logn: the catalogue does not have this model\n"
        "  did you mean `maker:long`?\n"
    )
    assert result.exit_code == 1
    assert list(PriceTable.read(shop / "prices.lock.json").rates) == ["maker:mini"]
    data = json.loads(run("prices", "lock", "shop", "--format", "json").stdout)
    assert [entry["model"] for entry in data["unlisted"]] == ["x9:y", "maker:logn"]


def test_lock_says_when_prices_will_be_others(run: Run, shop: Path) -> None:
    write(shop, POLICY.replace("maker:long", "maker:soon"))
    assert run("prices", "lock", "shop").stdout.splitlines()[-1] == (
        "note: maker:soon has other prices from 2026-12-01 on: lock them then"
    )


def test_nothing_to_lock_writes_nothing(run: Run, desk: Path) -> None:
    result = run("prices", "lock", "support.policy")
    assert (result.stdout, result.exit_code) == ("no route leaves its price to a lock: nothing to lock\n", 0)
    assert json.loads(run("prices", "lock", "support.policy", "--format", "json").stdout)["file"] is None
    assert not (desk / "prices.lock.json").exists()
    result = run("prices", "diff", "support.policy")
    assert (result.stdout, result.exit_code) == ("no route leaves its price to a lock: nothing would change\n", 0)
    data = json.loads(run("prices", "diff", "support.policy", "--format", "json").stdout)
    assert (data["lock"], data["changed"], data["added"]) == (None, [], [])


def test_a_lock_that_is_needed_no_more_is_emptied(run: Run, shop: Path) -> None:
    assert run("prices", "lock", "shop").exit_code == 0
    write(shop, "")
    assert run("prices", "lock", "shop").stdout == (
        "shop/prices.lock.json: 0 models, genai-prices 0.2.3, 2026-11-22\n"
        "note: maker:long is no longer in it: no route leaves its price to this lock\n"
        "note: maker:mini is no longer in it: no route leaves its price to this lock\n"
    )
    assert dict(PriceTable.read(shop / "prices.lock.json").rates) == {}


def test_lock_goes_where_it_is_told(run: Run, shop: Path, desk: Path) -> None:
    assert run("prices", "lock", "shop", "--output", "elsewhere.json").exit_code == 0
    assert not (shop / "prices.lock.json").exists()
    assert run("prices", "lock", "shop/a.policy", "other", "--output", "both.json").exit_code == 0
    assert (desk / "elsewhere.json").read_bytes() == (desk / "both.json").read_bytes()
    assert run("prices", "lock", "-", stdin=POLICY).exit_code == 0
    assert (desk / "prices.lock.json").read_bytes() == (desk / "both.json").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lock"], "Error: name the PATH of the policy whose models are to be priced"),
        (["look", "shop"], "'look' is not one of 'lock', 'diff'"),
        (["lock", "shop", "other"], f"Error: {SEVERAL}: say with --output where its prices go"),
        (["lock", "shop", "--prices", "x"], "Error: --prices is for diff; where to write is --output"),
        (["diff", "shop", "--output", "x"], "Error: --output is for lock; what to compare is --prices"),
        (["lock", "bad.policy"], "Error: the policy has 2 errors, so nothing was asked"),
        (["lock", "none"], "Error: no such file or directory: none"),
        (["lock", "shop", "--output", "none/x.json"], "Error: none/x.json: no such file or directory"),
        (["diff", "shop"], "Error: there is no price lock beside the policy\n  write one with `policy prices lock`"),
        (["diff", "shop", "--prices", "none.json"], "Error: none.json: no such file or directory"),
        (["diff", "shop", "--prices", "bad.policy"],
         "Error: bad.policy: line 1 is not JSON\n  write it again with `policy prices lock`"),
    ],
)  # fmt: skip
def test_wrong_usage(run: Run, shop: Path, words: list[str], message: str) -> None:
    result = run("prices", *words)
    assert message in result.stderr
    assert (result.stdout, result.exit_code) == ("", 2)
    assert not (shop / "prices.lock.json").exists()


def test_a_lock_that_cannot_be_written_leaves_nothing_behind(
    run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(rewriting, "replace_file", full)
        result = run("prices", "lock", "shop")
    assert result.stderr == "Error: shop/prices.lock.json: no space left on device\n"
    assert result.exit_code == 2
    assert [path.name for path in shop.iterdir()] == ["a.policy"]
    run("prices", "lock", "shop")
    before = (shop / "prices.lock.json").read_text()
    with monkeypatch.context() as patched:
        patched.setattr(rewriting, "replace_file", full)
        assert run("prices", "lock", "shop").exit_code == 2
    assert (shop / "prices.lock.json").read_text() == before


def test_a_lock_is_new_or_as_it_was(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stops the writing: an empty lock would be an error in every command."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", stop)
        run("prices", "lock", "shop")
    assert [path.name for path in shop.iterdir()] == ["a.policy"]


def test_what_is_no_file_is_written_to_and_stays_what_it_is(run: Run, shop: Path) -> None:
    pipe = shop / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("prices", "lock", "shop", "--output", "shop/pipe").exit_code == 0
        assert json.loads(os.read(reader, 100_000))["models"]
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_a_link_stays_a_link(run: Run, shop: Path, desk: Path) -> None:
    link = shop / "prices.lock.json"
    link.symlink_to(desk / "gone" / "there.json")
    assert run("prices", "lock", "shop").stderr == "Error: shop/prices.lock.json: no such file or directory\n"
    assert link.is_symlink()
    (desk / "gone").mkdir()
    assert run("prices", "lock", "shop").exit_code == 0
    assert link.is_symlink()
    assert PriceTable.read(desk / "gone" / "there.json").rates
    (desk / "gone" / "there.json").chmod(0o640)
    assert run("prices", "lock", "shop").exit_code == 0
    assert (desk / "gone" / "there.json").stat().st_mode & 0o777 == 0o640


def test_a_policy_in_another_currency_is_told_at_once(run: Run, shop: Path) -> None:
    write(shop, POLICY.replace("USD", "EUR").replace("$", "€"))
    result = run("prices", "lock", "shop")
    assert result.stderr == (
        "Error: the catalogue has prices in USD, and the policy is in EUR\n  write `rates` in EUR on its routes\n"
    )
    assert result.exit_code == 2


def test_without_the_extra_it_is_named(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    result = run("prices", "lock", "shop")
    assert result.stderr == 'Error: there is no catalogue of prices\n  pip install "policy_engine[prices]"\n'
    assert result.exit_code == 2
    assert "hint" not in run("check", "shop").stderr
    assert "add `rates`, `cost` or a price table" in run("check", "shop").stdout


# ---------------------------------------------------------------- diff


def test_nothing_would_change(run: Run, shop: Path) -> None:
    run("prices", "lock", "shop")
    result = run("prices", "diff", "shop")
    assert result.stdout == "shop/prices.lock.json against genai-prices 0.2.3, 2026-11-22: nothing would change\n"
    assert (result.stderr, result.exit_code) == ("", 0)


def test_what_would_change(run: Run, shop: Path) -> None:
    old = Rates(3_000_000, 12_000_000, tiers=(Tier(100_000, Rates(6_000_000, 22_500_000)),))
    (shop / "prices.lock.json").write_text(lock_of(long=old, gone=MINI))
    result = run("prices", "diff", "shop")
    assert (
        result.stdout
        == """\
maker:long  (long)
  output                                        $12  →    $15  +25.0%
  written to the cache                            –  →  $3.75
  input above 100,000 tokens                     $6  →     $3  -50.0%
  output above 100,000 tokens                $22.50  →    $15  -33.3%
  written to the cache above 200,000 tokens       –  →  $7.50
maker:mini  (mini, again): not in the lock
maker:gone: no route leaves its price to the lock

at worst
  cap (shop/a.policy:4:35)              $5.0999835  →  $4.50  -11.8%
  tokens_of_draft (shop/a.policy:12:5)       $1.20  →  $1.50  +25.0%
  one draft in lane standard                 $4.80  →     $6  +25.0%

shop/prices.lock.json against genai-prices 0.2.3, 2026-11-22: `policy prices lock` would \
change 5 rates of 1 model, add 1 model, drop 1 model
"""
    )
    assert result.exit_code == 1


def test_a_model_that_left_the_catalogue(run: Run, shop: Path) -> None:
    (shop / "prices.lock.json").write_text(lock_of(mini=MINI, logn=LONG))
    write(shop, POLICY.replace("maker:long", "maker:logn"))
    result = run("prices", "diff", "shop")
    assert result.stdout == (
        "maker:logn  (long): the catalogue does not have this model\n"
        "\n"
        "shop/prices.lock.json against genai-prices 0.2.3, 2026-11-22: `policy prices lock` would drop 1 model\n"
    )
    assert result.exit_code == 1


def test_the_difference_in_json(run: Run, shop: Path) -> None:
    (shop / "prices.lock.json").write_text(lock_of(long=LONG, mini=Rates(100_000, 600_000, 75_000, batch=MINI.batch)))
    result = run("prices", "diff", "--format", "json", "shop")
    assert json.loads(result.stdout) == {
        "lock": "shop/prices.lock.json",
        "source": "genai-prices 0.2.3",
        "date": "2026-11-22",
        "changed": [
            {
                "model": "maker:mini",
                "routes": ["mini", "again"],
                "rate": "input_picos",
                "batch": False,
                "above_tokens": 0,
                "old_picos": 100_000,
                "new_picos": 150_000,
                "percent": 50.0,
            }
        ],
        "added": [],
        "unused": [],
        "unlisted": [],
        "worst": [],  # the other model is dearer
    }
    assert result.exit_code == 1


def test_the_working_directory_is_the_policy(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop)
    run("prices", "lock", "a.policy")
    result = run("prices", "diff")
    assert result.stdout == "prices.lock.json against genai-prices 0.2.3, 2026-11-22: nothing would change\n"


# ---------------------------------------------------------------- the other commands

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

"""`policy prices diff`: what a refresh would change, and which bounds that moves."""

import json
from pathlib import Path

import pytest

from policy_engine.language.units import Rates, Tier
from tests.cli.conftest import Run
from tests.cli.shop import LONG, MINI, POLICY, lock_of, shop, three_models, write

__all__ = ["shop", "three_models"]  # fixtures
pytestmark = pytest.mark.usefixtures("three_models")


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

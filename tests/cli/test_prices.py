"""`policy prices lock`: the prices of what a policy leaves to a lock, written whole or not at all."""

import json
import os
import sys
from pathlib import Path

import pytest

from policy_engine.cli import rewriting
from policy_engine.prices.table import PriceTable
from tests.cli.conftest import Run
from tests.cli.shop import LONG, MINI, POLICY, SEVERAL, shop, three_models, write

__all__ = ["shop", "three_models"]  # fixtures
pytestmark = pytest.mark.usefixtures("three_models")


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

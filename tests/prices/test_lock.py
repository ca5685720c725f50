"""The lock file: what is written is read again, and what is damaged is an error, never a zero."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import policy_engine
from policy_engine.language.units import Rates, Tier
from policy_engine.prices.lock import AGAIN, Lock, LockedModel, _digest, read_lock
from policy_engine.prices.records import PriceError, record
from policy_engine.prices.table import PriceTable, beside
from tests.generators.settings import examples
from tests.prices.test_rates import tiered

DAY = dt.date(2026, 11, 22)
RATES = Rates(
    3_000_000,
    15_000_000,
    cached_read_picos=300_000,
    tiers=(Tier(200_000, Rates(6_000_000, 22_500_000)),),
    batch=Rates(1_500_000, 7_500_000, tiers=(Tier(200_000, Rates(3_000_000, 11_250_000)),)),
)


def locked(rates: Rates = RATES) -> LockedModel:
    return LockedModel.of(rates, catalogue="anthropic/sonnet", source="genai-prices 0.2.3", on=DAY)


LOCK = Lock.of("USD", {"b:plain": locked(Rates(1, 2)), "a:sonnet": locked()})

TEXT = """\
{
  "version": 1,
  "currency": "USD",
  "models": {
    "a:sonnet": {
      "input_picos": 3000000,
      "output_picos": 15000000,
      "cached_read_picos": 300000,
      "tiers": [
        {
          "above_tokens": 200000,
          "input_picos": 6000000,
          "output_picos": 22500000
        }
      ],
      "batch": {
        "input_picos": 1500000,
        "output_picos": 7500000,
        "tiers": [
          {
            "above_tokens": 200000,
            "input_picos": 3000000,
            "output_picos": 11250000
          }
        ]
      },
      "catalogue": "anthropic/sonnet",
      "source": "genai-prices 0.2.3",
      "date": "2026-11-22"
    },
    "b:plain": {
      "input_picos": 1,
      "output_picos": 2,
      "catalogue": "anthropic/sonnet",
      "source": "genai-prices 0.2.3",
      "date": "2026-11-22"
    }
  },
  "digest": "DIGEST"
}
"""


def test_a_lock_as_it_is_written() -> None:
    assert LOCK.text == TEXT.replace("DIGEST", LOCK.digest)
    assert len(LOCK.digest) == 64


def test_a_lock_prices_what_it_names(tmp_path: Any) -> None:
    file = tmp_path / "prices.lock.json"
    file.write_text(LOCK.text, encoding="utf-8")
    table = PriceTable.read(file)
    assert table == PriceTable("USD", {"a:sonnet": RATES, "b:plain": Rates(1, 2)})
    assert table.origin == file.as_posix()
    assert table.get("c:other") is None


def test_the_order_of_a_lock_is_no_part_of_it() -> None:
    data = json.loads(LOCK.text)
    shuffled = json.dumps({name: data[name] for name in reversed(data)})
    assert read_lock(shuffled, "x") == LOCK
    assert read_lock(b"\xef\xbb\xbf" + LOCK.text.replace("\n", "\r\n").encode(), "x") == LOCK


@examples(200)
@given(st.dictionaries(st.text(max_size=20), tiered(), max_size=3), st.sampled_from(["USD", "EUR", "JPY"]))
def test_what_is_written_is_read_again(rates: dict[str, Rates], currency: str) -> None:
    lock = Lock.of(currency, {model: locked(each) for model, each in rates.items()})
    assert read_lock(lock.text.encode(), "x") == lock
    table = PriceTable.of_lock(lock.text)
    assert table == PriceTable(currency, rates)
    assert PriceTable.of_text(table.text) == table
    assert PriceTable.of_text(table.text).digest == table.digest


@examples(200)
@given(tiered(), tiered())
def test_tables_that_differ_have_other_digests(one: Rates, other: Rates) -> None:
    assert (one == other) == (PriceTable(rates={"m": one}).digest == PriceTable(rates={"m": other}).digest)


# ---------------------------------------------------------------- damage


def changed(change: Callable[[dict[str, Any]], Any], *, sealed: bool = False) -> str:
    """The lock with a change; `sealed` gives it the digest of what it has become."""
    data = json.loads(LOCK.text)
    change(data)
    if sealed:
        data["digest"] = _digest(data)
    return json.dumps(data)


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


SONNET = ("models", "a:sonnet")
CONTENT = "its content is not what its digest says: it is damaged, or was edited"


def misplaced(where: str) -> str:
    return f"`{where}` is not what a price lock has there"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1 is not JSON"),
        ("{\n  oops", "line 2 is not JSON"),
        (LOCK.text[:-20], "line 39 is not JSON"),
        (b"\xff\xfe\x00", "this is no UTF-8 text"),
        ("[]", "this is no price lock"),
        ("[" * 100_000, "this is no price lock"),
        ('{"version": ' + "9" * 5_000 + "}", "this is no price lock"),
        ("{}", "this is no price lock: it has no `version`"),
        (changed(drop("version")), "this is no price lock: it has no `version`"),
        (changed(put("version", value=2)), "its version is 2, and 1 is what can be read here"),
        (changed(put("version", value=True)), "its version is true, and 1 is what can be read here"),
        (changed(put("version", value=1.0)), "its version is 1.0, and 1 is what can be read here"),
        # Of two, one is read: not always that which a reader sees.
        (LOCK.text.replace('"input_picos"', '"input_picos": 1,"input_picos"', 1), '`"input_picos"` stands in it twice'),
        (LOCK.text.replace('"models": {', '"models": {}, "models": {', 1), '`"models"` stands in it twice'),
        (changed(put("models", "\ud800", value={}), sealed=True), "this is no price lock"),
        (changed(put("version", value="1")), 'its version is "1", and 1 is what can be read here'),
        (changed(put("version", value=[1] * 99)), f"its version is [{'1, ' * 6}1…, and 1 is what can be read here"),
        (changed(put("digest", value="0" * 64)), CONTENT),
        (changed(drop("digest")), CONTENT),
        (changed(put(*SONNET, "input_picos", value=0)), CONTENT),
        (changed(put(*SONNET, "input_picos", value=3_000_000.0)), CONTENT),
        (changed(put(*SONNET, "date", value="2026-11-23")), CONTENT),
        (changed(drop(*SONNET, "cached_read_picos")), CONTENT),
        (changed(drop(*SONNET)), CONTENT),
        (changed(put("comment", value="mine")), CONTENT),
        (changed(drop(*SONNET, "output_picos"), sealed=True), misplaced("models.a:sonnet.output_picos")),
        (changed(put(*SONNET, "output_picos", value=None), sealed=True), misplaced("models.a:sonnet.output_picos")),
        (changed(put(*SONNET, "input_picos", value=-1), sealed=True), misplaced("models.a:sonnet.input_picos")),
        (changed(put(*SONNET, "input_picos", value="3"), sealed=True), misplaced("models.a:sonnet.input_picos")),
        (changed(put(*SONNET, "input_picos", value=1.5), sealed=True), misplaced("models.a:sonnet.input_picos")),
        (changed(put(*SONNET, "input_picos", value=True), sealed=True), misplaced("models.a:sonnet.input_picos")),
        (changed(put(*SONNET, "input_picos", value=10**16), sealed=True), misplaced("models.a:sonnet.input_picos")),
        (changed(put(*SONNET, "date", value="tomorrow"), sealed=True), misplaced("models.a:sonnet.date")),
        (changed(drop(*SONNET, "source"), sealed=True), misplaced("models.a:sonnet.source")),
        (changed(put(*SONNET, "surcharge", value=1), sealed=True), misplaced("models.a:sonnet.surcharge")),
        (changed(put(*SONNET, "tiers", value=[{}]), sealed=True), misplaced("models.a:sonnet.tiers.0.above_tokens")),
        (
            changed(lambda data: data["models"]["a:sonnet"]["tiers"].append({**record(Rates(1, 1)), "above_tokens": 9}),
                    sealed=True),
            misplaced("models.a:sonnet"),
        ),
        (changed(put("models", value=[]), sealed=True), misplaced("models")),
        (changed(put("currency", value="dollars"), sealed=True), '`"dollars"` is not a currency code'),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_a_damaged_lock_says_what_is_wrong(content: str | bytes, message: str) -> None:
    with pytest.raises(PriceError) as raised:
        read_lock(content, "shop/prices.lock.json")
    assert raised.value.message == message
    assert str(raised.value) == f"shop/prices.lock.json: {message}; {AGAIN}"


@examples(300)
@given(st.integers(0, len(LOCK.text) - 2), st.characters(codec="ascii"))
def test_no_single_slip_goes_unnoticed(at: int, letter: str) -> None:
    damaged = LOCK.text[:at] + letter + LOCK.text[at + 1 :]
    try:
        assert read_lock(damaged, "x") == LOCK  # a blank for another
    except PriceError:
        assert damaged != LOCK.text


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
def test_what_has_no_end_is_not_read_to_it() -> None:
    with pytest.raises(PriceError, match="longer than any price lock"):
        PriceTable.read("/dev/zero")


# ---------------------------------------------------------------- use

POLICY = """
currency USD
route sonnet {{ model "a:sonnet" {rates} }}
lane standard {{ sonnet }}
workflow w {{ outcome o {{ price $1 lanes standard }} }}
"""


def test_a_policy_is_priced_by_a_lock_where_it_says_nothing() -> None:
    table = PriceTable.of_lock(LOCK.text)
    assert policy_engine.load(POLICY.format(rates=""), prices=table).checked.routes["sonnet"].rates == RATES
    own = policy_engine.load(POLICY.format(rates="rates $1 in, $2 out per 1M tokens"), prices=table)
    assert own.checked.routes["sonnet"].rates == Rates(1_000_000, 2_000_000)


def test_a_lock_that_lacks_the_model_is_said_to() -> None:
    table = PriceTable.of_lock(Lock.of("USD", {}).text, "shop/prices.lock.json")
    (warning,) = policy_engine.load(POLICY.format(rates=""), prices=table).warnings
    assert warning.message == "nothing prices the route `sonnet`, so every attempt on it will be refused"
    assert warning.hint == "`shop/prices.lock.json` does not have its model: run `policy prices lock`"


def test_prices_in_another_currency_are_an_error() -> None:
    table = PriceTable.of_lock(LOCK.text, "prices.lock.json")
    with pytest.raises(PriceError) as raised:
        policy_engine.load(POLICY.format(rates="").replace("USD", "EUR").replace("$", "€"), prices=table)
    assert str(raised.value) == (
        "prices.lock.json: prices in USD are of no use to a policy in EUR; "
        "write `rates` in EUR on its routes, or give prices in EUR"
    )


def test_a_lock_lies_beside_the_policy(tmp_path: Any) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "a.policy").write_text("")
    assert beside([one]) is None
    (one / "prices.lock.json").write_text("")
    (one / "deeper").mkdir()
    (one / "deeper" / "prices.lock.json").write_text("")  # not beside, but below
    assert beside([one]) == beside([one / "a.policy", one, other]) == one / "prices.lock.json"
    assert beside([other, other / "a.policy"]) is None
    (other / "prices.lock.json").write_text("")
    with pytest.raises(PriceError) as raised:
        beside([one / "a.policy", other])
    names = [(folder / "prices.lock.json").as_posix() for folder in (one, other)]
    assert (
        str(raised.value) == f"`{names[0]}` and `{names[1]}` both have prices for this policy; name one with `--prices`"
    )

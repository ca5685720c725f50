"""load(): paths, texts, prices, versions."""

import datetime as dt
from pathlib import Path

import pytest

import policy_engine
from policy_engine import LivePolicy, PolicyError, PriceTable
from policy_engine.language.units import Rates, UnitError
from policy_engine.prices.lock import Lock, LockedModel

TEXT = """
currency USD
route r {{ model "openai:m" {rates} }}
lane l {{ r }}
workflow w {{ outcome o {{ price $2 lanes l ceiling {limit} per outcome }} }}
"""
RATES = "rates $1 in, $2 out per 1M tokens"


def text(rates: str = RATES, limit: str = "$1") -> str:
    return TEXT.format(rates=rates, limit=limit)


def test_a_text_a_file_a_directory_and_several(tmp_path: Path) -> None:
    parts = text().split("lane", 1)
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.policy").write_text(parts[0])
    (tmp_path / "sub" / "b.policy").write_text("lane" + parts[1])
    (tmp_path / "readme.txt").write_text("not a policy {")
    whole = tmp_path / "whole.policy"
    from_text = policy_engine.load(text())
    assert set(from_text.checked.outcomes) == {"o"}
    from_directory = policy_engine.load(tmp_path)
    from_files = policy_engine.load([tmp_path / "sub" / "b.policy", str(tmp_path / "a.policy")])
    assert from_directory.digest == from_files.digest  # file order never matters
    assert from_directory.checked.routes == from_text.checked.routes
    whole.write_text(text())
    assert policy_engine.load(str(whole)).checked.routes == from_text.checked.routes
    # a file named twice is read once
    assert len(policy_engine.load([whole, whole]).checked.sources) == 1


def test_the_digest_follows_the_content() -> None:
    assert policy_engine.load(text()).digest == policy_engine.load(text()).digest
    assert policy_engine.load(text()).digest != policy_engine.load(text(limit="$1.01")).digest


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        policy_engine.load(tmp_path / "none.policy")
    with pytest.raises(FileNotFoundError, match=r"no \*\.policy file"):
        policy_engine.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="empty path"):
        policy_engine.load("")


def test_a_file_that_cannot_be_read_is_not_missed_by_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.policy").write_bytes(b"lane l { r } # \xff\n")
    (tmp_path / "b.policy").write_text("currency USD\nworkflow w { outcome o { price $1 lanes l } }")
    with pytest.raises(PolicyError) as caught:
        policy_engine.load(tmp_path)
    assert len(caught.value.diagnostics) == 1


@pytest.mark.parametrize("data", ["currency USD\n".encode("utf-16"), b"currency USD # \xff\n"])
def test_what_is_no_utf8(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.policy"
    path.write_bytes(data)
    with pytest.raises(PolicyError) as caught:
        policy_engine.load(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code.startswith("P1")


def test_an_error_carries_every_diagnostic_and_prints_them() -> None:
    with pytest.raises(PolicyError) as caught:
        policy_engine.load("currency USD\nceiling $1 per dya\nlane l { nowhere }\n")
    codes = [diagnostic.code for diagnostic in caught.value.diagnostics]
    assert len(codes) == 2
    printed = str(caught.value)
    assert printed.endswith("2 errors")
    assert all(f"[{code}]" in printed for code in codes)
    assert "did you mean `day`?" in printed


# ---------------------------------------------------------------- prices


def test_rates_of_a_route_win_over_the_table() -> None:
    table = PriceTable.per_million({"openai:m": ("10", "20")})
    own = policy_engine.load(text(), prices=table)
    assert own.checked.routes["r"].rates == Rates(1_000_000, 2_000_000)
    served = policy_engine.load(text(rates=""), prices=table)
    assert served.checked.routes["r"].rates == Rates(10_000_000, 20_000_000)
    assert served.warnings == ()
    flat = policy_engine.load(text(rates="cost $1"), prices=table)
    assert flat.checked.routes["r"].rates is None


@pytest.mark.parametrize(
    "table", [None, PriceTable(), PriceTable("EUR"), PriceTable(rates={"openai:other": Rates(1, 1)})]
)
def test_what_nothing_prices_is_a_warning_and_is_refused(table: PriceTable | None) -> None:
    loaded = policy_engine.load(text(rates=""), prices=table)
    assert [(w.code, w.span.text.split()[:2]) for w in loaded.warnings] == [("P299", ["route", "r"])]
    facts = {
        "customer": "c",
        "outcome": "o",
        "lane": "l",
        "route": "r",
        "step": "s",
        "price": 2,
        "spent": 0,
        "input_tokens": 1,
        "max_output_tokens": 1,
    }
    assert loaded.attempt(facts).reason == "estimate_unknown"


def test_a_table_has_a_digest_and_refuses_nonsense() -> None:
    one = PriceTable.per_million({"a": (1, 2), "b": ("0.15", 0.6)})
    assert one.digest == PriceTable.per_million({"b": ("0.15", 0.6), "a": (1, 2)}).digest
    assert one.digest != PriceTable.per_million({"a": (1, 2), "b": ("0.15", 0.7)}).digest
    assert one.rates["b"] == Rates(150_000, 600_000)
    assert policy_engine.load(text(), prices=one).attempt is not None
    for bad in ((-1, 1), ("x", 1), (float("nan"), 1), ("0.0000001", 1)):
        with pytest.raises(UnitError):
            PriceTable.per_million({"a": bad})


def test_digests_are_on_every_decision() -> None:
    table = PriceTable.per_million({"a": (1, 2)})
    loaded = policy_engine.load(text(), prices=table)
    decision = loaded.admit({"customer": "c", "outcome": "o", "grants": []})
    assert decision.to_json()["policy_digest"] == loaded.digest
    assert decision.to_json()["price_digest"] == table.digest


# ---------------------------------------------------------------- versions


def test_a_bad_new_version_never_replaces_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "a.policy"
    path.write_text(text())
    live = LivePolicy(path)
    first = live.policy
    assert live.reload() is False
    assert live.policy is first
    path.write_text(text(limit="$2"))
    assert live.reload() is True
    second = live.policy
    assert second.digest != first.digest
    path.write_text(text(limit="2 dollars"))
    with pytest.raises(PolicyError):
        live.reload()
    assert live.policy is second
    path.unlink()
    with pytest.raises(OSError, match="no such file"):
        live.reload()
    assert live.policy is second


def test_new_prices_are_read_with_the_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is written again counts for what begins from then on, wherever the process stands by then."""

    def lock(picos: int) -> str:
        entry = LockedModel.of(Rates(picos, picos), catalogue="openai/m", source="x", on=dt.date(2026, 11, 22))
        return Lock.of("USD", {"openai:m": entry}).text

    path = tmp_path / "prices.lock.json"
    path.write_text(lock(1))
    monkeypatch.chdir(tmp_path)
    live = LivePolicy(text(rates=""), prices=PriceTable.read("prices.lock.json"))
    monkeypatch.chdir("/")
    assert live.reload() is False
    path.write_text(lock(2))
    assert live.reload() is True
    assert live.policy.checked.routes["r"].rates == Rates(2, 2)
    path.write_text(lock(3)[:-9])
    with pytest.raises(policy_engine.PriceError, match=r"^prices\.lock\.json: line"):
        live.reload()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        live.reload()
    assert live.policy.checked.routes["r"].rates == Rates(2, 2)
    table = PriceTable.per_million({"openai:m": (1, 2)})
    assert table.again() is table


def test_an_unknown_engine() -> None:
    with pytest.raises(ValueError, match="reference"):
        policy_engine.load(text(), engine="refrence")

"""Calendar windows: their names and ends, through daylight saving, year ends and odd zones."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.language.vocabulary import WINDOWS
from policy_engine.ledger.windows import micros_of, moment, window_end, window_name, window_start
from tests.generators.settings import examples

BERLIN, KOLKATA, KATHMANDU, LORD_HOWE = "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"
HAVANA, SANTIAGO, APIA = "America/Havana", "America/Santiago", "Pacific/Apia"
ZONES = ("UTC", BERLIN, KOLKATA, KATHMANDU, LORD_HOWE, "America/New_York", HAVANA, SANTIAGO, APIA)
HOUR = 3600 * 10**6


def at(text: str) -> int:
    """Microseconds of a time written with its offset, or in UTC."""
    time = datetime.fromisoformat(text)
    return micros_of(time if time.tzinfo is not None else time.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("window", "zone", "time", "name", "end"),
    [
        ("minute", "UTC", "2026-11-22T14:03:39", "2026-11-22T14:03+00:00", "2026-11-22T14:04"),
        ("minute", "UTC", "2026-11-22T14:03:00", "2026-11-22T14:03+00:00", "2026-11-22T14:04"),
        ("hour", "UTC", "2026-11-22T14:59:59.999999", "2026-11-22T14:00+00:00", "2026-11-22T15:00"),
        ("day", "UTC", "2026-11-22T00:00:00", "2026-11-22", "2026-11-23"),
        ("day", "UTC", "2026-11-21T23:59:59.999999", "2026-11-21", "2026-11-22"),
        ("day", BERLIN, "2026-11-22T23:30:00", "2026-11-23", "2026-11-24T00:00+01:00"),
        ("month", BERLIN, "2026-06-30T22:30:00", "2026-07", "2026-08-01T00:00+02:00"),
        ("month", "UTC", "2026-12-31T23:59:59", "2026-12", "2027-01-01"),
        ("month", "UTC", "2028-02-29T12:00:00", "2028-02", "2028-03-01"),
        ("month", "UTC", "2026-01-31T12:00:00", "2026-01", "2026-02-01"),
        ("month", BERLIN, "2026-03-15T12:00:00", "2026-03", "2026-04-01T00:00+02:00"),
        # Weeks start on Monday; the days around New Year belong to the year of their Thursday.
        ("week", "UTC", "2026-11-22T23:59:59", "2026-W47", "2026-11-23"),
        ("week", "UTC", "2026-11-23T00:00:00", "2026-W48", "2026-11-30"),
        ("week", "UTC", "2026-12-31T12:00:00", "2026-W53", "2027-01-04"),
        ("week", "UTC", "2027-01-01T12:00:00", "2026-W53", "2027-01-04"),
        ("week", "UTC", "2024-12-30T12:00:00", "2025-W01", "2025-01-06"),
        ("week", BERLIN, "2026-03-29T12:00:00", "2026-W13", "2026-03-30T00:00+02:00"),
        ("week", BERLIN, "2026-10-19T00:30:00", "2026-W43", "2026-10-26T00:00+01:00"),
        # Half and quarter hours.
        ("hour", KOLKATA, "2026-11-22T14:45:00", "2026-11-22T20:00+05:30", "2026-11-22T15:30"),
        ("hour", KATHMANDU, "2026-11-22T14:45:00", "2026-11-22T20:00+05:45", "2026-11-22T15:15"),
        ("day", KOLKATA, "2026-11-22T18:30:00", "2026-11-23", "2026-11-23T18:30"),
        # Summer time begins: the day has 23 hours, and no hour begins at two.
        ("day", BERLIN, "2026-03-29T10:00:00", "2026-03-29", "2026-03-30T00:00+02:00"),
        ("hour", BERLIN, "2026-03-29T00:59:00", "2026-03-29T01:00+01:00", "2026-03-29T01:00"),
        ("hour", BERLIN, "2026-03-29T01:00:00", "2026-03-29T03:00+02:00", "2026-03-29T02:00"),
        # It ends: the day has 25 hours, and the hour from two to three comes twice.
        ("day", BERLIN, "2026-10-25T10:00:00", "2026-10-25", "2026-10-26T00:00+01:00"),
        ("hour", BERLIN, "2026-10-25T00:30:00", "2026-10-25T02:00+02:00", "2026-10-25T01:00"),
        ("hour", BERLIN, "2026-10-25T01:30:00", "2026-10-25T02:00+01:00", "2026-10-25T02:00"),
        ("minute", BERLIN, "2026-10-25T01:30:00", "2026-10-25T02:30+01:00", "2026-10-25T01:31"),
        # Midnight itself is skipped, or comes twice: the day begins with its first moment.
        ("day", SANTIAGO, "2026-09-06T03:30:00", "2026-09-05", "2026-09-06T04:00"),
        ("day", SANTIAGO, "2026-09-06T04:00:00", "2026-09-06", "2026-09-07T03:00"),
        ("day", HAVANA, "2026-10-31T12:00:00", "2026-10-31", "2026-11-01T04:00"),
        # A whole day is skipped.
        ("day", APIA, "2011-12-30T09:00:00", "2011-12-29", "2011-12-30T10:00"),
    ],
)
def test_window(window: str, zone: str, time: str, name: str, end: str) -> None:
    assert window_name(window, at(time), zone) == name
    assert moment(window_end(window, at(time), zone)) == moment(at(end))


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-22", 24)])
def test_every_hour_of_a_day_has_its_own_name(day: str, hours: int) -> None:
    begins = micros_of(datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(BERLIN)))
    times = range(begins, window_end("day", begins, BERLIN), HOUR // 2)
    names = [window_name("hour", time, BERLIN) for time in times]
    assert len(set(names)) == hours
    assert all(names.count(name) == 2 for name in names)
    assert len({window_name("day", time, BERLIN) for time in times}) == 1


def test_a_year_of_windows_leaves_no_gap() -> None:
    for zone in ZONES:
        for window, least in (("month", 12), ("week", 52), ("day", 365)):
            ends = [at("2026-01-01T12:00:00")]
            while ends[-1] < at("2027-01-05T12:00:00"):
                ends.append(window_end(window, ends[-1], zone))
            names = [window_name(window, end, zone) for end in ends]
            assert len(set(names)) == len(names) > least
            assert names == sorted(names)
            assert all(before < after for before, after in pairwise(ends))


MOMENTS = st.integers(at("1980-01-01"), at("2037-12-01"))
"""Without the far future, whose rules nobody knows."""

CHANGES = ("03-31", "10-27", "03-29", "10-25", "04-05", "10-04", "09-06", "11-01")
CLOCK_CHANGES = st.sampled_from([at(f"{year}-{day}") for year in (2024, 2025, 2026) for day in CHANGES]).flatmap(
    lambda micros: st.integers(micros - 30 * HOUR, micros + 30 * HOUR)
)
"""Days on which some zone changes its clocks."""


@examples(400)
@given(MOMENTS | CLOCK_CHANGES, st.sampled_from(WINDOWS), st.sampled_from(ZONES), st.floats(0, 1))
def test_a_window_has_one_name_until_its_end(micros: int, window: str, zone: str, part: float) -> None:
    name, end = window_name(window, micros, zone), window_end(window, micros, zone)
    assert micros < end
    inside = micros + int((end - 1 - micros) * part)
    for later in (inside, end - 1):
        assert window_name(window, later, zone) == name
        assert window_end(window, later, zone) == end
    assert window_name(window, end, zone) != name


@examples(200)
@given(MOMENTS, st.sampled_from(("day", "week", "month")), st.sampled_from(ZONES))
def test_a_window_begins_where_the_one_before_ends(micros: int, window: str, zone: str) -> None:
    start = window_start(window, micros, zone)
    assert start <= micros < window_end(window, micros, zone)
    assert window_name(window, start, zone) == window_name(window, micros, zone)
    assert window_end(window, start - 1, zone) == start


@examples(200)
@given(MOMENTS)
def test_micros_and_moments(micros: int) -> None:
    assert micros_of(moment(micros)) == micros
    assert micros_of(moment(micros).astimezone(ZoneInfo(BERLIN))) == micros

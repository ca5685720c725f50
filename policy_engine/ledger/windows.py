"""Calendar windows: which minute, hour, day, week or month a moment belongs to.

Windows are aligned to the calendar of the policy's time zone, weeks start on Monday.
Times are microseconds since the epoch. Nothing resets: a new window is a new name.
"""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """The UTC time of a count of microseconds."""
    return EPOCH + timedelta(microseconds=micros)


def micros_of(time: datetime) -> int:
    """Microseconds since the epoch of a time that knows its zone."""
    return (time - EPOCH) // _MICROSECOND


def window_name(window: str, micros: int, zone: str) -> str:
    """The window's name: `2026-11`, `2026-W47`, `2026-11-22`, or a start with its offset for hours and minutes.

    The offset keeps the two hours apart that share a clock reading when daylight saving time ends.
    """
    return _window(window, micros // 60_000_000, zone)[0]


def window_start(window: str, micros: int, zone: str) -> int:
    """The first microsecond of the window of a moment."""
    return _window(window, micros // 60_000_000, zone)[1]


def window_end(window: str, micros: int, zone: str) -> int:
    """The first microsecond after the window of a moment."""
    return _window(window, micros // 60_000_000, zone)[2]


def days_in(window: str, micros: int, zone: str) -> tuple[int, int]:
    """Calendar days of the window of a moment, from that day to its end and in all."""
    local = moment(micros).astimezone(ZoneInfo(zone))
    if window == "month":
        whole = monthrange(local.year, local.month)[1]
        return whole - local.day + 1, whole
    return (7 - local.weekday(), 7) if window == "week" else (1, 1)


@lru_cache(maxsize=4096)
def _window(window: str, minute: int, zone: str) -> tuple[str, int, int]:
    """Name, start and end by whole minute: every window starts on one, in every zone in use since 1972."""
    local = moment(minute * 60_000_000).astimezone(ZoneInfo(zone))
    if window == "minute":
        return local.isoformat(timespec="minutes"), minute * 60_000_000, (minute + 1) * 60_000_000
    if window == "hour":
        start = local - timedelta(minutes=local.minute)
        passed = local.minute
        name = start.replace(fold=local.fold).isoformat(timespec="minutes")
        return name, (minute - passed) * 60_000_000, (minute + 60 - passed) * 60_000_000
    midnight = local.replace(hour=0, minute=0, fold=0)
    if window == "day":
        return f"{local:%Y-%m-%d}", _start(midnight, days=0), _start(midnight, days=1)
    if window == "week":
        year, week, weekday = local.isocalendar()
        return f"{year}-W{week:02}", _start(midnight, days=1 - weekday), _start(midnight, days=8 - weekday)
    first = midnight.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return f"{local:%Y-%m}", micros_of(first), micros_of(following)


def _start(midnight: datetime, days: int) -> int:
    """Local midnight so many calendar days later, whatever the clocks do in between."""
    return micros_of(midnight + timedelta(days=days))

"""What an adapter knows of its client's errors, before what the runtime knows of all.

Only what the runtime's mapping cannot see is read here: errors that a provider tells inside a stream, whose HTTP
status was a success, and a transport's own errors, which some clients let through while a stream is read.
"""

from collections.abc import Callable, Mapping
from json import JSONDecodeError
from typing import Any

from policy_engine.runtime.mapping import ErrorMap, Failure

Reading = Callable[[Exception], Failure | None]


class WrongClient(LookupError):
    """The policy sends a step to a route that the guarded client does not serve. Nothing was called."""


class ClientErrors(ErrorMap):
    """The caller's mappings, then an adapter's reading, then what the runtime knows."""

    def __init__(self, around: ErrorMap, read: Reading) -> None:
        super().__init__(None, (), around)
        self._read = read

    def built_in(self, error: Exception) -> Failure | None:
        return self._read(error) or _transport(error) or _garbled(error) or super().built_in(error)


def told(body: Any) -> Mapping[str, Any]:
    """The error that a body tells of: `{"error": {...}}`, or the inner mapping alone."""
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error")
    return inner if isinstance(inner, Mapping) else body


def _garbled(error: Exception) -> Failure | None:
    """An answer that is no JSON, or that a schema does not fit: clients let the mistake through as it is."""
    kind = type(error)
    unfit = kind.__name__ == "ValidationError" and kind.__module__.startswith("pydantic")
    return Failure("invalid_output") if unfit or isinstance(error, JSONDecodeError) else None


def _transport(error: Exception) -> Failure | None:
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0].startswith("httpx")]
    if "ConnectError" in kinds or "ConnectTimeout" in kinds:
        return Failure("timeout" if "ConnectTimeout" in kinds else "connection", billed=False)
    if "TimeoutException" in kinds:
        return Failure("timeout")
    return Failure("connection") if "TransportError" in kinds else None

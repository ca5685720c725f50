"""Errors of clients → error classes of the policy.

What the caller maps comes first, the most specific class before its bases. Then what every client has in common:
`TimeoutError` and `ConnectionError`, a `status_code`, and for the classes of well-known clients their names. No client
is imported. What is not mapped is no failure of the policy's: it propagates.

A failed call is charged what was reserved, as it may have been billed. `Failure(..., billed=False)` says of an error
that it certainly was not: the request was turned away before any work.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from policy_engine.language.diagnostics import did_you_mean, one_of


class Failure(Struct, frozen=True, gc=False):
    """An error class, and whether the failed call may have been billed."""

    error: str
    billed: bool = True


Errors = Mapping[type[Exception], "str | Failure | None"]
"""Exception classes and what they are to the policy; None: nothing, they propagate."""

_BY_CLASS: dict[type, Failure] = {
    TimeoutError: Failure("timeout"),
    ConnectionRefusedError: Failure("connection", billed=False),
    ConnectionError: Failure("connection"),
}
_BY_STATUS = {
    400: Failure("bad_request", billed=False),
    401: Failure("auth", billed=False),
    402: Failure("auth", billed=False),
    403: Failure("auth", billed=False),
    404: Failure("bad_request", billed=False),
    405: Failure("bad_request", billed=False),
    408: Failure("timeout"),
    409: Failure("unavailable"),
    410: Failure("bad_request", billed=False),
    413: Failure("context_length", billed=False),
    415: Failure("bad_request", billed=False),
    422: Failure("bad_request", billed=False),
    429: Failure("rate_limit", billed=False),
    502: Failure("unavailable"),
    503: Failure("unavailable"),
    504: Failure("timeout"),
    529: Failure("unavailable"),
}
_BY_CODE = {
    "context_length_exceeded": Failure("context_length", billed=False),
    "content_filter": Failure("content_filter"),
    "content_policy_violation": Failure("content_filter"),
}
_BY_NAME = {
    "APITimeoutError": Failure("timeout"),
    "TimeoutException": Failure("timeout"),
    "ConnectTimeout": Failure("timeout", billed=False),
    "PoolTimeout": Failure("timeout", billed=False),
    "Timeout": Failure("timeout"),
    "ConnectError": Failure("connection", billed=False),
    "NewConnectionError": Failure("connection", billed=False),
    "UnsupportedProtocol": Failure("connection", billed=False),
    "APIConnectionError": Failure("connection"),
    "ConnectionError": Failure("connection"),
    "ProxyError": Failure("connection"),
    "ChunkedEncodingError": Failure("connection"),
    "ClientPayloadError": Failure("connection"),
    "NetworkError": Failure("connection"),
    "ProtocolError": Failure("connection"),
    "ClientConnectionError": Failure("connection"),
    "APIResponseValidationError": Failure("invalid_output"),
    "LengthFinishReasonError": Failure("invalid_output"),
    "ContentFilterFinishReasonError": Failure("content_filter"),
}
_CLIENTS = frozenset("openai anthropic httpx httpx2 httpcore httpcore2 requests urllib3 aiohttp".split())


_Layer = dict[type, Failure | None]


class ErrorMap:
    """What is known of errors: the caller's mappings, innermost first, then the built-in ones."""

    def __init__(self, given: Errors | None, classes: Iterable[str], around: "ErrorMap | None" = None) -> None:
        """Raises `ValueError` for a key that is no exception class or a value that is no error class of the policy."""
        known = tuple(classes)
        self.layers: tuple[_Layer, ...] = around.layers if around is not None else ()
        if given:
            self.layers = (_checked(given, known), *self.layers)

    def failure(self, error: BaseException) -> Failure | None:
        """What an error is to the policy; None: it is not mapped."""
        for layer in self.layers:
            for kind in type(error).__mro__:
                if kind in layer:
                    return layer[kind]
        return self.built_in(error) if isinstance(error, Exception) else None

    def built_in(self, error: Exception) -> Failure | None:
        """What is known of an error that the caller does not map."""
        return _built_in(error)


def _checked(given: Errors, classes: tuple[str, ...]) -> _Layer:
    if not isinstance(given, Mapping):
        raise ValueError(f"errors are a mapping of exceptions to error classes, not {given!r}")  # noqa: TRY004 - as below
    found: _Layer = {}
    for kind, value in given.items():
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            said = f"`{kind.__name__}`" if isinstance(kind, type) else repr(kind)
            raise ValueError(f"{said} is no subclass of `Exception`")  # noqa: TRY004 - like every other entry that is wrong
        if value is not None and not isinstance(value, str | Failure):
            raise ValueError(f"`{kind.__name__}` is mapped to {value!r}, which is no error class")
        failure = Failure(value) if isinstance(value, str) else value
        if failure is not None and failure.error not in classes:
            known = did_you_mean(failure.error, classes) or f"one of {one_of(classes)}"
            raise ValueError(f"`{failure.error}` is no error class of this policy; {known}")
        found[kind] = failure
    return found


def _built_in(error: Exception) -> Failure | None:
    status = _status(error)
    if status is not None:
        code = _of(error, "code")
        if isinstance(code, str) and code in _BY_CODE:
            return _BY_CODE[code]
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        if 500 <= status < 600:
            return Failure("server_error")
        return None
    found = _by_kind(error)
    cause = error.__cause__
    if found is not None and found.billed and isinstance(cause, Exception):
        # Clients raise one error for every broken connection; the one behind it tells of one that was never made.
        behind = _by_kind(cause)
        if behind is not None and not behind.billed:
            return Failure(found.error, billed=False)
    return found


def _by_kind(error: Exception) -> Failure | None:
    for kind in type(error).__mro__:
        if kind in _BY_CLASS:
            return _BY_CLASS[kind]
        if kind.__name__ in _BY_NAME and kind.__module__.partition(".")[0] in _CLIENTS:
            return _BY_NAME[kind.__name__]
    return None


def _status(error: Exception) -> int | None:
    """The HTTP status of an error or of the response it carries."""
    candidates: tuple[Any, ...] = (error, _of(error, "response"))
    for one in candidates:
        for name in ("status_code", "status"):
            status = _of(one, name)
            if isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600:
                return status
    return None


def _of(error: Any, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except Exception:  # of a property that fails: the error that is to be raised on is another
        return None

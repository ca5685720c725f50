"""Errors to classes: the caller's first, then what every client has in common."""

from types import SimpleNamespace
from typing import Any

import pytest

from policy_engine.language.vocabulary import ERROR_CLASSES
from policy_engine.runtime import mapping
from policy_engine.runtime.mapping import ErrorMap, Failure

BUILT_IN = ErrorMap(None, ERROR_CLASSES)


def error(name: str = "Oops", base: type[Exception] = Exception, module: str = "mine", **attributes: Any) -> Exception:
    """An exception of a client that need not be installed."""
    return type(name, (base,), {"__module__": module} | attributes)("as it came")  # type: ignore[no-any-return]


NOT_BILLED = {
    **dict.fromkeys((400, 404, 405, 410, 415, 422), "bad_request"),
    **dict.fromkeys((401, 402, 403), "auth"),
    413: "context_length",
    429: "rate_limit",
}
MAYBE_BILLED = {
    **dict.fromkeys((408, 504), "timeout"),
    **dict.fromkeys((409, 502, 503, 529), "unavailable"),
    **dict.fromkeys((500, 501, 505, 599), "server_error"),
}


@pytest.mark.parametrize("status", range(600))
def test_every_status(status: int) -> None:
    """What was certainly turned away costs nothing; what may have been worked on does."""
    found = BUILT_IN.failure(error(status_code=status))
    if status in NOT_BILLED:
        assert found == Failure(NOT_BILLED[status], billed=False)
    elif status >= 500 or status in MAYBE_BILLED:
        assert found == Failure(MAYBE_BILLED.get(status, "server_error"))
    else:
        assert found is None


@pytest.mark.parametrize(
    ("raised", "found"),
    [
        (TimeoutError(), Failure("timeout")),
        (error(base=TimeoutError), Failure("timeout")),
        (ConnectionResetError(), Failure("connection")),
        (ConnectionRefusedError(), Failure("connection", billed=False)),
        (error(status_code=429), Failure("rate_limit", billed=False)),
        (error(status=429), Failure("rate_limit", billed=False)),
        (error(response=SimpleNamespace(status_code=429)), Failure("rate_limit", billed=False)),
        (error(status_code=401), Failure("auth", billed=False)),
        (error(status_code=402), Failure("auth", billed=False)),  # nothing left on the account
        (error(status_code=410), Failure("bad_request", billed=False)),  # a model that is no more
        (error(status_code=405), Failure("bad_request", billed=False)),
        (error(status_code=415), Failure("bad_request", billed=False)),
        (error(status_code=418), None),
        (error(status_code=500), Failure("server_error")),
        (error(status_code=507), Failure("server_error")),
        (error(status_code=503), Failure("unavailable")),
        (error(status_code=529), Failure("unavailable")),
        (error(status_code=504), Failure("timeout")),
        (error(status_code=400), Failure("bad_request", billed=False)),
        (error(status_code=400, code="context_length_exceeded"), Failure("context_length", billed=False)),
        (error(status_code=400, code="content_filter"), Failure("content_filter")),
        (error("APITimeoutError", module="openai"), Failure("timeout")),
        (error("APIConnectionError", module="anthropic._exceptions"), Failure("connection")),
        (error("ConnectError", module="httpx"), Failure("connection", billed=False)),
        (error("ConnectError", module="httpx2"), Failure("connection", billed=False)),
        (error("ReadTimeout", type(error("TimeoutException", module="httpx")), "httpx"), Failure("timeout")),
        (error("ConnectionError", module="requests.exceptions"), Failure("connection")),
        (error("ChunkedEncodingError", module="requests.exceptions"), Failure("connection")),
        (error("ClientPayloadError", module="aiohttp.client_exceptions"), Failure("connection")),
        (error("ProxyError", module="httpx2"), Failure("connection")),
        (error("APITimeoutError", module="mine"), None),
        (error(status_code=property(lambda _: 1 / 0)), None),
        (error(base=TimeoutError, response=property(lambda _: 1 / 0)), Failure("timeout")),
        (error(status_code=200), None),
        (error(status_code="429"), None),
        (error(status_code=True), None),
        (error(), None),
        (ValueError(), None),
        (OSError("disk"), None),
        (KeyboardInterrupt(), None),
    ],
    ids=lambda item: item.error if isinstance(item, Failure) else type(item).__name__,
)
def test_what_is_built_in(raised: BaseException, found: Failure | None) -> None:
    assert BUILT_IN.failure(raised) == found


@pytest.mark.parametrize(
    ("error_name", "cause", "found"),
    [
        ("APIConnectionError", error("ConnectError", module="httpx2"), Failure("connection", billed=False)),
        ("APIConnectionError", error("ReadError", module="httpx2"), Failure("connection")),
        ("APIConnectionError", ConnectionRefusedError(), Failure("connection", billed=False)),
        ("APIConnectionError", None, Failure("connection")),
        ("APITimeoutError", error("ConnectTimeout", module="httpx"), Failure("timeout", billed=False)),
        ("APITimeoutError", error("ReadTimeout", module="httpx"), Failure("timeout")),
        ("Oops", ConnectionRefusedError(), None),
    ],
)
def test_what_is_behind_a_clients_error_tells_whether_it_was_sent(
    error_name: str, cause: Exception | None, found: Failure | None
) -> None:
    raised = error(error_name, module="openai")
    raised.__cause__ = cause
    assert BUILT_IN.failure(raised) == found


@pytest.mark.parametrize("known", [mapping._BY_CLASS, mapping._BY_STATUS, mapping._BY_CODE, mapping._BY_NAME])
def test_every_built_in_class_is_one_of_the_language(known: dict[Any, Failure]) -> None:
    assert {failure.error for failure in known.values()} <= set(ERROR_CLASSES)


def test_the_most_specific_class_wins_and_the_innermost_mapping() -> None:
    outer = ErrorMap({OSError: "server_error", TimeoutError: "unavailable"}, ERROR_CLASSES)
    inner = ErrorMap({ConnectionError: "rate_limit", ConnectionResetError: None}, ERROR_CLASSES, outer)
    assert inner.failure(TimeoutError()) == Failure("unavailable")
    assert inner.failure(ConnectionAbortedError()) == Failure("rate_limit")
    assert inner.failure(ConnectionResetError()) is None
    assert inner.failure(FileNotFoundError()) == Failure("server_error")
    assert outer.failure(ConnectionResetError()) == Failure("server_error")

"""Policy files, reloaded as they change. Needs the extra `watch`."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePath
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from policy_engine.policy import SUFFIX, LivePolicy
from policy_engine.prices.table import LOCK_NAME
from policy_engine.runtime.observing import log

DEBOUNCE_MILLIS = 100


class Watching:
    """A thread that reloads a policy until `stop`; a context manager."""

    def __init__(self, policy: LivePolicy, on_error: Callable[[Exception], None] | None = None) -> None:
        try:
            from watchfiles import watch
        except ModuleNotFoundError as error:
            raise ImportError("`watch` needs the extra `watch`: pip install 'policy_engine[watch]'") from error
        self._policy = policy
        self._on_error = on_error
        self._stop = Event()
        changes = watch(
            *sorted({path if path.is_dir() else path.parent for path in policy.paths}),
            watch_filter=partial(_may_change, frozenset(path.name for path in policy.paths)),
            recursive=any(path.is_dir() for path in policy.paths),
            stop_event=self._stop,
            debounce=DEBOUNCE_MILLIS,
            step=20,
            rust_timeout=500,
            yield_on_timeout=True,
        )
        self._thread = Thread(target=self._follow, args=(changes,), name="policy_engine watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Reload no more."""
        self._stop.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _follow(self, changes: Iterator[set[Any]]) -> None:
        for number, seen in enumerate(changes):
            if seen or number == 0:  # what was edited before anybody watched is seen at the first look
                self.reload()

    def reload(self) -> None:
        """Read the files again; what is wrong with them is told, and the last good version stays."""
        try:
            if self._policy.reload():
                log.info("the policy was reloaded: %s", self._policy.policy.digest[:12])
        except Exception as error:  # whatever an edit does, the engine goes on
            if self._on_error is not None:
                self._on_error(error)
            else:
                log.warning("an edit of the policy is ignored: %s", error)


def _may_change(named: frozenset[str], change: object, path: str) -> bool:
    """Whether the policy may read otherwise now. A ledger, for one, may lie beside it, and is written all the time."""
    name = PurePath(path).name
    # Where files are mounted as links, as Kubernetes does, `..data` is what is replaced.
    return name in named or name == LOCK_NAME or name.endswith(SUFFIX) or name.startswith("..")

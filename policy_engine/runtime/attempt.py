"""One reserved try: held before the call, settled after it, whatever happens inside."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from msgspec.structs import replace

from policy_engine.evaluation.decision import AttemptDecision, FailureDecision, ProgressDecision
from policy_engine.evaluation.facts import AttemptFacts
from policy_engine.ledger.protocol import MOST, Hold
from policy_engine.ledger.windows import moment
from policy_engine.runtime import checking
from policy_engine.runtime.errors import Cut, NotRunning, Terminal
from policy_engine.runtime.mapping import Failure
from policy_engine.runtime.streaming import StreamMeter
from policy_engine.runtime.usage import Usage, UsageError, Used, nanos, read_usage, stated

if TYPE_CHECKING:
    from policy_engine.runtime.edition import Edition
    from policy_engine.runtime.step import Step

OVER_CEILING = "over_ceiling"


class Attempt:
    """One reserved try; until it ends, its worst case is held.

    A context manager, sync or async. Leaving it settles: at what `settle` was told, else at what was streamed, else at
    the reserved amount. An error that is mapped to an error class is absorbed if another attempt follows; if none does
    it is raised on, with the policy's decision as a note. Any other error is raised on.

    `decision` is the policy's; `max_output_tokens` the cap to pass on (None: none was asked for), perhaps lower than
    asked; `meter` counts a stream, `told` is what `settle` was told. When it has ended: `usage` and `cost_nanos` are
    what was charged, `error` the class it failed with (None: it did not), `over` the quantities that were more than
    reserved. `left_by` is the exception that it is left by, while observers are told of its end; no later, as an
    exception keeps all it has passed alive.
    """

    def __init__(
        self,
        step: "Step",
        hold: Hold,
        decision: AttemptDecision,
        asked: AttemptFacts,
        began_micros: int,
        *,
        reserved_nanos: int,
        max_output_tokens: int | None,
    ) -> None:
        self.step = step
        self.hold = hold
        self.decision = decision
        self.asked = asked
        self.began_micros = began_micros
        self.number = asked.attempt
        self.route = step.route
        self.reserved_nanos = reserved_nanos
        self.max_output_tokens = max_output_tokens
        self.meter = StreamMeter(self)
        self.usage = Usage()
        self.cost_nanos = 0
        self.error: str | None = None
        self.over: tuple[str, ...] = ()
        self.left_by: BaseException | None = None
        self.ended = False
        self.told: Usage | None = None

    def __repr__(self) -> str:
        return f"<Attempt {self.number} of step `{self.step.name}` on {self.route}>"

    # ------------------------------------------------------------ what to call

    @property
    def reference(self) -> str:
        """The text after `model` or `tool` in the policy: `openai:gpt-4o-mini`."""
        return self.step.execution.edition.checked.routes[self.route].reference

    @property
    def provider(self) -> str | None:
        """What stands before the colon of the reference: `openai`; None if there is no colon."""
        provider, colon, _ = self.reference.partition(":")
        return provider if colon else None

    @property
    def model(self) -> str:
        """The reference without its provider: `gpt-4o-mini`."""
        provider, colon, model = self.reference.partition(":")
        return model if colon else provider

    @property
    def deadline(self) -> datetime | None:
        """When a time ceiling ends it, in UTC; None if none applies."""
        run = self.decision.deadline_micros
        return None if run is None or self.step.shadow else moment(self.began_micros + run)

    @property
    def timeout_seconds(self) -> float | None:
        """The time left until the deadline, as a client's timeout takes it; None if there is no deadline."""
        run = self.decision.deadline_micros
        if run is None or self.step.shadow:
            return None
        gone = max(0, self.step.execution.engine.clock.now_micros() - self.began_micros)  # a clock may step back
        return max(0, run - gone) / 10**6

    @property
    def estimate_nanos(self) -> int | None:
        """The most it was asked to cost, before any shrinking."""
        return worst_nanos(self.step.execution.edition, self.asked, self.route)

    # ------------------------------------------------------------ what it used

    def settle(
        self,
        usage: Any = None,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = 0,
        cost: Decimal | int | float | str | None = None,
        batch: bool = False,
    ) -> None:
        """Say what was used: a usage object of OpenAI or Anthropic, a reply that has one, a mapping, or numbers.

        It is booked when the attempt is left; said twice, the last counts. `input_tokens` includes cached ones.
        `cost` is an amount of money and wins over prices. `batch` says that the request was handed in as one of a
        batch: where the prices know a rate for that, it is what is charged. Raises `UsageError` for what cannot be
        read; if nothing else is said, the reserved amount is charged.
        """
        self._require_open()
        currency = self.step.execution.edition.currency
        if usage is None:
            told = stated(
                currency,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cached_tokens=cached_tokens,
                cost=cost,
            )
        elif input_tokens is not None or output_tokens is not None or cached_tokens:
            raise UsageError("give a usage or numbers of tokens: of both, it is not known which counts")
        else:
            told = read_usage(usage)
            told = told if cost is None else replace(told, cost_nanos=nanos(cost, currency))
        self.told = replace(told, batch=True) if batch else told

    def progress(self, output_tokens: int) -> ProgressDecision:
        """May it go on, with so many output tokens streamed? After a cut, end it with `fail("over_ceiling", …)`."""
        self._require_open()
        return self.step.progress(self, output_tokens)

    def succeed(self, **actual: Unpack[Used]) -> tuple[str, ...]:
        """Settle at the actual cost; the step ends. Answers the quantities that were more than reserved.

        `actual`: the fields of `Usage`; without any, what `settle` was told or the meter counted, else the reserved
        amount is charged.
        """
        self._book(self._stated(actual) if actual else self._known())
        self.step.ended = "succeeded"
        return self.over

    def fail(self, error: str, **actual: Unpack[Used]) -> FailureDecision:
        """Settle what the failed try cost, as `succeed` does, and ask where the step goes now.

        Raises `FactError` for what is no error class of the policy.
        """
        checking.known("error class", error, self.step.execution.edition.checked.error_classes)
        usage = self._stated(actual) if actual else self._known()
        return self._fail(error, usage, usage.input_tokens)

    def _fail(self, error: str, usage: Usage, sent: int | None = None) -> FailureDecision:
        """`sent` are its input tokens, as far as somebody has said; else it is as many as were asked for."""
        self.error = error
        self._book(usage)
        self.step.failures += 1
        return self.step.fail(error, input_tokens=self.asked.input_tokens if sent is None else sent)

    def release(self) -> None:
        """Give it back, charging nothing: the call was never made. Who iterates gets no other one."""
        self._close()
        self.step.give_back(self.hold.id)
        self._tell("attempt_released")

    def leave(self) -> None:
        """Settle it though nobody says how it went: at what is known, else at the reserved amount."""
        self._book(self._known())

    # ------------------------------------------------------------ leaving it

    def __enter__(self) -> Self:
        self._require_open()
        self._tell("attempt_entered")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        clock = self.step.execution.engine.clock
        self._tell("attempt_left")
        for micros in self._leave(error):
            clock.sleep(micros)
        return self._left(error)

    async def __aenter__(self) -> Self:
        self._require_open()
        self._tell("attempt_entered")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, GeneratorExit):  # whoever closes a coroutine lets it await nothing more
            return self.__exit__(kind, error, trace)
        self._tell("attempt_left")
        engine = self.step.execution.engine
        await engine.threads.follow(self._leave(error), engine.clock)
        return self._left(error)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Around a call whose attempt is left later and elsewhere: a stream that is handed out."""
        self._tell("attempt_entered")
        try:
            yield
        finally:
            self._tell("attempt_left")

    @contextmanager
    def being_left(self, error: BaseException | None) -> Iterator[None]:
        """While it is settled: observers are told by which error it is left."""
        self.left_by = error
        try:
            yield
        finally:
            self.left_by = None

    def _leave(self, error: BaseException | None) -> Iterator[int]:
        """Settle, and look for the next attempt if this one has failed; what it yields is to be waited for."""
        step = self.step
        if not self.ended:
            with self.being_left(error):
                self._end(error)
        elif step.ended is None and (error is not None or self.error is None):
            step.ended = "left"  # by an error, or as no call is wanted: it was given back, and has not failed
        if step.ended is None:
            yield from step.seek()

    def _end(self, error: BaseException | None) -> None:
        failure = self._failure(error)
        if failure is not None:
            self.fail_as(failure)
        elif error is None:
            self.succeed()
        else:
            self._book(self._known())
            self.step.ended = "left"

    def _left(self, error: BaseException | None) -> bool:
        """Whether the error is absorbed; raises what takes its place."""
        step = self.step
        if step.pending is not None:
            return error is not None
        if self.error is None or step.ended in ("succeeded", "left"):
            return False
        if step.handoff is not None:
            raise step.handoff from error
        if error is not None:
            _noted(error, step)
            return False
        if self.meter.cut is not None:
            raise _noted(Cut(self.meter.cut), step)
        raise step.stopped()

    def fail_as(self, failure: Failure) -> FailureDecision:
        """`fail`, charging nothing if the failure was certainly not billed and nothing else was said."""
        if not failure.billed and self.told is None and not self.meter.counted:
            return self._fail(failure.error, Usage(0, 0, cost_nanos=0))
        return self.fail(failure.error)

    def _failure(self, error: BaseException | None) -> Failure | None:
        if error is None:
            return Failure(OVER_CEILING) if self.meter.cut is not None else None
        if isinstance(error, Cut):
            return Failure(OVER_CEILING) if self.meter.raised is error else None
        if isinstance(error, Terminal):
            return None
        return self.step.errors.failure(error)

    def _tell(self, what: str) -> None:
        observers = self.step.execution.engine.observers
        if observers.all:
            observers.tell(what, self)

    # ------------------------------------------------------------ booking

    def _known(self) -> Usage:
        if self.told is not None:
            return self.told
        return self.meter.usage()

    def _stated(self, actual: Used) -> Usage:
        usage = Usage(**actual)
        amounts = (usage.input_tokens or 0, usage.output_tokens or 0, self._cost(usage))
        if not all(0 <= amount <= MOST for amount in amounts):
            raise UsageError("an amount is negative, or more than a ledger can count")
        return usage

    def _require_open(self) -> None:
        if self.step.open is not self or self.ended:
            raise NotRunning("this attempt has ended: what it used is said inside its `with`")

    def _close(self) -> None:
        with self.step.execution.lock:  # of two threads, one ends it
            self._require_open()
            self.ended = True
            self.step.open = None

    def _book(self, usage: Usage) -> None:
        self._close()
        cost, tokens = self._cost(usage), (usage.input_tokens or 0) + (usage.output_tokens or 0)
        if max(cost, tokens) > MOST:  # nobody can have used that, and no ledger could go on counting
            usage, cost = Usage(), self.reserved_nanos
        self.usage, self.cost_nanos = usage, cost
        amounts = {"spent": cost}
        if usage.input_tokens is not None and usage.output_tokens is not None:
            amounts["tokens"] = tokens
        self.over = self.step.settle(self, amounts)
        self._tell("attempt_ended")

    def _cost(self, usage: Usage) -> int:
        if usage.cost_nanos is not None:
            return usage.cost_nanos
        route = self.step.execution.edition.checked.routes[self.route]
        if route.cost_nanos is not None:
            return route.cost_nanos
        if route.rates is not None and usage.input_tokens is not None and usage.output_tokens is not None:
            return route.rates.cost_nanos(
                usage.input_tokens,
                usage.output_tokens,
                cached_read_tokens=usage.cached_read_tokens,
                cached_write_tokens=usage.cached_write_tokens,
                cached_hour_write_tokens=usage.cached_hour_write_tokens,
                batch=usage.batch,
                media_input_tokens=usage.media_input_tokens,
                media_output_tokens=usage.media_output_tokens,
            )
        return self.reserved_nanos


def worst_nanos(edition: "Edition", asked: AttemptFacts, route_name: str) -> int | None:
    """The most an attempt may cost as it was asked for; None where nobody can say."""
    route = edition.checked.routes[route_name]
    if asked.estimate_nanos is not None or route.cost_nanos is not None:
        return route.cost_nanos if asked.estimate_nanos is None else asked.estimate_nanos
    if route.rates is None or asked.input_tokens is None or asked.max_output_tokens is None:
        return None
    return route.rates.worst_nanos(asked.input_tokens, asked.max_output_tokens)


def _noted(error: BaseException, step: "Step") -> BaseException:
    """The error, with the policy's last word on it as a note."""
    if step.decisions:
        with suppress(Exception):  # errors that are frozen take none, and are raised all the same
            error.add_note(f"policy: {step.decisions[-1]}")
    return error

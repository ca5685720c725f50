"""Make the synthetic traces that stand beside the example policies.

Everything in them is invented: customers, tickets, tokens, failures. They show work that
nobody guards: retries without end, fallbacks into the dearest model, customers far beyond
their plan. Equal seeds give equal bytes.

    python policies/generate_traces.py                 # writes every policies/*/trace.csv
    python policies/generate_traces.py --out elsewhere customer_support
"""

import argparse
import csv
import io
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

SEED = 20250303
COLUMNS = (
    *("execution", "customer", "plan", "outcome", "step", "route", "model"),
    *("input_tokens", "output_tokens", "cost", "error", "accepted", "time"),
)
MILLION = Decimal(1_000_000)

UNBILLED = {"rate_limit", "unavailable", "connection", "server_error", "auth"}
"""Failures before the model did any work: no tokens, no cost."""


HOPELESS = {"inconclusive", "unreadable"}
"""Failures that even an unguarded client does not retry on the same route."""


@dataclass(frozen=True)
class Route:
    """How one way to serve attempts behaves: `errors` by chance, `good` the chance that its result is accepted."""

    name: str
    good: float
    seconds: float  # median
    errors: dict[str, float]
    rates: tuple[str, str] | None = None  # per million tokens, in and out; None for a tool
    flat: str = "0"  # a tool's cost per attempt
    by_model: str = ""  # written in the column `model` instead of the route's name
    tries: int = 6  # the unguarded client's own retries


@dataclass(frozen=True)
class Outage:
    """While it lasts, a route fails with `error` most of the time."""

    route: str
    begins: datetime
    ends: datetime
    error: str
    chance: float = 0.9


@dataclass
class Execution:
    """One promised deliverable; `columns` are the cells that all its rows share."""

    columns: dict[str, str]
    size: float = 1.0  # how much longer than usual its texts are
    luck: float = 1.0  # below 1: its results are accepted less often; 0: never


@dataclass
class Trace:
    """The rows of one trace. Executions come one after another, so that the file is in order of time."""

    rng: random.Random
    facts: Sequence[str]
    write_costs: bool
    outages: Sequence[Outage] = ()
    now: datetime = datetime(2025, 3, 3, tzinfo=UTC)
    rows: list[dict[str, str]] = field(default_factory=list)
    executions: int = 0

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, weighted: dict[str, float]) -> str:
        return self.rng.choices(list(weighted), list(weighted.values()))[0]

    def around(self, median: float, spread: float = 0.45) -> float:
        """Lognormal: most are near the median, a few are several times as long."""
        return median * math.exp(self.rng.gauss(0.0, spread))

    def begin(self, at: datetime, **columns: str) -> Execution:
        """A new execution at this time, or just after the last one if that still runs."""
        self.executions += 1
        self.now = max(at, self.now + timedelta(seconds=1))
        return Execution({"execution": f"e{self.executions:04d}", **columns}, size=self.around(1.0, 0.4))

    def serve(self, run: Execution, step: str, path: Sequence[Route], tokens: tuple[int, int], *, last: bool) -> bool:
        """Work on a step as an unguarded client does: retry, then go to the next route; True if it was done.

        Only the last step's result is looked at by anybody, so only that one is accepted or not.
        """
        for route in path:
            for _ in range(route.tries):
                error = self._error(route)
                accepted = "" if error or not last else str(self.chance(route.good * run.luck)).lower()
                cells = {"step": step, "error": error, "accepted": accepted}
                self._row(run, route, tokens, cells)
                if not error and accepted != "false":
                    return True
                if error in HOPELESS:
                    break
                if accepted == "false" and self.chance(0.7 if run.luck else 0.15):
                    break  # ask a better route; otherwise, and again and again where nothing helps, the same one
        return False

    def _error(self, route: Route) -> str:
        for outage in self.outages:
            if outage.route == route.name and outage.begins <= self.now < outage.ends and self.chance(outage.chance):
                return outage.error
        return self.pick({**route.errors, "": 1 - sum(route.errors.values())})

    def _row(self, run: Execution, route: Route, tokens: tuple[int, int], cells: dict[str, str]) -> None:
        error = cells["error"]
        sent = produced = 0
        if route.rates and error not in UNBILLED:
            sent = round(self.around(tokens[0], 0.25) * run.size)
            produced = round(self.around(tokens[1], 0.35) * run.size * (0.4 if error == "timeout" else 1))
        self.rows.append(
            {
                **run.columns,
                **cells,
                "route": "" if route.by_model else route.name,
                "model": route.by_model,
                "input_tokens": str(sent) if route.rates else "",
                "output_tokens": str(produced) if route.rates else "",
                "cost": self._cost(route, sent, produced, error),
                "time": self.now.isoformat(timespec="seconds"),
            }
        )
        if error == "timeout":
            took = 20 + 10 * self.rng.random()
        else:
            took = 0.4 + self.rng.random() if error in UNBILLED else self.around(route.seconds)
        self.now += timedelta(seconds=math.ceil(took))

    def _cost(self, route: Route, sent: int, produced: int, error: str) -> str:
        if route.rates is None:
            return "0" if error in UNBILLED else route.flat
        if not self.write_costs:
            return ""  # whoever reads the trace multiplies tokens by rates
        cost = (Decimal(route.rates[0]) * sent + Decimal(route.rates[1]) * produced) / MILLION
        return f"{cost:f}"

    def text(self) -> str:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, [*COLUMNS, *self.facts], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue()


def office_hours(trace: Trace, first: datetime, days: int, count: int) -> list[datetime]:
    """So many times over some days: mostly in office hours, few at the weekend, in order."""
    times: list[datetime] = []
    while len(times) < count:
        at = first + timedelta(days=math.floor(trace.rng.random() * days))
        if at.weekday() >= 5 and trace.chance(0.8):
            continue
        hour = min(max(trace.rng.gauss(13.0, 3.0), 0.0), 23.9)
        times.append(at + timedelta(seconds=math.floor(hour * 3600)))
    return sorted(times)


# ---------------------------------------------------------------- the four traces

QUICK_FAILURES = {"timeout": 0.05, "rate_limit": 0.05, "invalid_output": 0.03, "hallucinated_link": 0.03}
SLOW_FAILURES = {"timeout": 0.05, "unavailable": 0.02, "invalid_output": 0.01, "hallucinated_link": 0.02}


def customer_support(rng: random.Random) -> Trace:
    """Four weeks of tickets. High risk goes to opus, and so does, in the end, whatever else failed."""
    berlin = timezone(timedelta(hours=1))
    first = datetime(2025, 3, 3, tzinfo=berlin)
    day = first + timedelta(days=8)
    outages = [Outage("mini", day + timedelta(hours=10), day + timedelta(hours=12), "timeout", 0.85)]
    trace = Trace(rng, ("risk", "confidence", "region"), write_costs=False, outages=outages, now=first)
    mini = Route("mini", 0.66, 2, QUICK_FAILURES, ("0.15", "0.60"))
    sonnet = Route("sonnet", 0.80, 6, SLOW_FAILURES, ("3", "15"), tries=3)
    opus = Route("opus", 0.82, 11, SLOW_FAILURES, ("15", "75"), tries=5)
    plans = {f"c-{n:03d}": "starter" for n in (1, 2, 3, 5, 8, 7)}
    plans |= {f"c-{n:03d}": "growth" for n in (4, 9, 11, 12)}
    plans |= {"c-014": "enterprise", "c-015": "enterprise", "c-016": "", "c-017": ""}
    weights = dict.fromkeys(plans, 1.0) | {"c-007": 5.2, "c-004": 3.0, "c-014": 2.5}
    regions = {c: trace.pick({"us": 0.55, "apac": 0.2, "eu": 0.2, "": 0.05}) for c in plans} | {"c-004": "us"}
    for at in office_hours(trace, first, 26, 520):
        customer = trace.pick(weights)
        plan = plans[customer]
        risk = trace.pick({"low": 0.6, "medium": 0.26, "high": 0.14})
        sure = round(1 - 0.75 * rng.random() ** 2, 2) if trace.chance(0.9) else None
        refund = trace.chance(0.02 if plan == "starter" else 0.18)
        run = trace.begin(
            at,
            customer=customer,
            plan=plan,
            outcome="refund_decision" if refund else "support_reply",
            risk=risk,
            confidence="" if sure is None else f"{sure}",
            region=regions[customer],
        )
        run.luck = {"low": 1.1, "medium": 1.0, "high": 0.8}[risk] * (0 if trace.chance(0.07) else 1)
        bought = plan in ("growth", "enterprise") and regions[customer] in ("us", "apac")
        hard = risk == "high" or (sure is not None and sure < 0.5)
        dear = refund or (hard and trace.chance(0.95 if bought else 0.12))
        middle = [sonnet] if trace.chance(0.96) else []
        path = [opus, *middle, opus] if dear else [mini, *middle, opus]
        trace.serve(run, "draft", path, (12_000, 1_000) if dear else (9_000, 800), last=True)
    return trace


def research_reports(rng: random.Random) -> Trace:
    """Two weeks of reports in many steps: pages that never load, and chapters rewritten by the dearest model."""
    eastern = timezone(timedelta(hours=-5))
    first = datetime(2025, 2, 3, tzinfo=eastern)
    trace = Trace(rng, ("depth", "pages_wanted", "confidential"), write_costs=True, now=first)
    flaky = {"timeout": 0.04, "rate_limit": 0.03, "server_error": 0.02}
    search = Route("search", 0.9, 1.5, {"timeout": 0.06, "unavailable": 0.05}, flat="0.01", tries=9)
    browse = Route("browse", 0.9, 9, {"timeout": 0.12, "tool_error": 0.08}, flat="0.06", tries=8)
    flash = Route("flash", 0.75, 14, {**flaky, "thin_evidence": 0.12}, ("0.30", "2.50"), tries=3)
    pro = Route("pro", 0.8, 35, {**flaky, "thin_evidence": 0.12}, ("1.25", "10"), tries=2)
    opus = Route("opus", 0.9, 55, {**flaky, "thin_evidence": 0.02}, ("15", "75"), tries=3)
    plans = {f"c-{n:03d}": "analyst" for n in (21, 22, 24, 25, 27)} | {"c-023": "firm", "c-026": "firm", "c-028": ""}
    weights = dict.fromkeys(plans, 1.0) | {"c-022": 3.5, "c-023": 2.5, "c-026": 1.5}
    for at in office_hours(trace, first, 12, 150):
        customer = trace.pick(weights)
        plan = plans[customer]
        mix = {"source_list": 0.45, "market_brief": 0.4, "deep_report": {"firm": 0.5, "analyst": 0.02}.get(plan, 0.1)}
        outcome = trace.pick(mix)
        deep = outcome == "deep_report"
        pages = round(trace.around(24 if deep else 5))
        run = trace.begin(
            at,
            customer=customer,
            plan=plan,
            outcome=outcome,
            depth=trace.pick({"standard": 0.2, "deep": 0.8} if deep else {"brief": 0.5, "standard": 0.5}),
            pages_wanted=str(min(max(pages, 1), 80)),
            confidential=trace.pick({"false": 0.93, "true": 0.04, "": 0.03}) if deep else "",
        )
        run.luck = 0 if trace.chance(0.08) else 1.15
        if outcome == "source_list":
            stubborn = trace.chance(0.12)  # a site that does not want to be read
            names = [f"source_{n}" for n in range(1, 3 + math.floor(5 * rng.random()))]
            for name in names:
                dead = stubborn and name == names[-1]
                path = [search, browse] if not dead else [_dead(search), _dead(browse)]
                trace.serve(run, name, path, (0, 0), last=name == names[-1])
            continue
        expert = run.columns["depth"] == "deep" and run.columns["confidential"] == "false"
        chapters = 4 + math.floor(4 * rng.random()) if deep else 1
        steps = ["outline", *(f"chapter_{n}" for n in range(1, chapters + 1)), "edit"]
        path = [pro, opus] if expert else [flash, pro, opus]
        for name in steps:
            tokens = (50_000, 8_000) if deep else (40_000, 5_000)
            if not trace.serve(run, name, path, tokens, last=name == "edit"):
                break
    return trace


def _dead(route: Route) -> Route:
    """The same route before a site that answers nobody."""
    return Route(route.name, 0.0, route.seconds, {"timeout": 0.97}, flat=route.flat, tries=route.tries)


def release_risk(rng: random.Random) -> Trace:
    """Three weeks of pull requests, one afternoon with a failing provider, and a freeze nobody kept to."""
    first = datetime(2025, 4, 7, tzinfo=UTC)
    bad = first + timedelta(days=9)
    outages = [Outage("haiku", bad + timedelta(hours=12), bad + timedelta(hours=15), "server_error", 0.8)]
    freeze = first + timedelta(days=11, hours=12)
    facts = ("risk", "lines_changed", "files_changed", "touches_payments", "freeze", "coverage")
    trace = Trace(rng, facts, write_costs=False, outages=outages, now=first)
    flaky = {"timeout": 0.03, "rate_limit": 0.04, "invalid_output": 0.03}
    haiku = Route("haiku", 0.72, 8, flaky, ("1", "5"), tries=8)
    sonnet = Route("sonnet", 0.78, 18, flaky, ("3", "15"), tries=2)
    opus = Route("opus", 0.9, 40, flaky, ("15", "75"), tries=3)
    scanner = Route("scanner", 0.92, 12, {"inconclusive": 0.35, "flaky_tests": 0.08}, flat="0.02", tries=2)
    plans = {"c-031": "trial", "c-032": "trial", "c-038": "trial"}
    plans |= {"c-033": "team", "c-034": "team", "c-035": "team", "c-036": "business", "c-037": "business"}
    weights = dict.fromkeys(plans, 1.0) | {"c-031": 0.3, "c-038": 0.4, "c-032": 0.8, "c-034": 2.0, "c-036": 3.0}
    for at in office_hours(trace, first, 19, 460):
        customer = trace.pick(weights)
        plan = plans[customer]
        report = trace.chance(0.03 if plan == "trial" else 0.13)
        risk = trace.pick({"low": 0.5, "medium": 0.3, "high": 0.16, "critical": 0.04})
        lines = min(round(trace.around(140, 1.4)), 60_000)
        files = max(1, round(lines / trace.around(45)))
        payments = trace.chance(0.07)
        run = trace.begin(
            at,
            customer=customer,
            plan=plan,
            outcome="risk_report" if report else "pr_review",
            risk=risk,
            lines_changed=str(lines),
            files_changed=str(files),
            touches_payments=str(payments).lower(),
            freeze=str(freeze <= at < freeze + timedelta(hours=6)).lower(),
            coverage="" if trace.chance(0.2) else str(round(100 * (1 - rng.random() ** 2 * 0.7))),
        )
        run.size = min(0.6 + lines / 900, 4.0)
        run.luck = 0 if trace.chance(0.07) else 1.1
        thorough = risk in ("high", "critical") or payments or lines + 20 * files > 1500
        if report:
            run.size = min(run.size, 3.0)
            trace.serve(run, "assess", [scanner, sonnet, opus], (50_000, 4_000), last=True)
        elif thorough:
            trace.serve(run, "review", [sonnet, opus], (20_000, 1_800), last=True)
        else:
            trace.serve(run, "review", [haiku, sonnet, opus], (16_000, 1_200), last=True)
    return trace


def document_extraction(rng: random.Random) -> Trace:
    """Three weeks of documents, and one morning on which a customer sends the same bad scans again and again."""
    vienna = timezone(timedelta(hours=2))
    first = datetime(2025, 5, 5, tzinfo=vienna)
    facts = ("pages", "scan_quality", "handwriting", "language")
    trace = Trace(rng, facts, write_costs=False, now=first)
    checks = {"checksum_mismatch": 0.06, "timeout": 0.02, "rate_limit": 0.03}
    ocr = Route("ocr", 0.95, 1, {"unreadable": 0.22, "unavailable": 0.02}, flat="0.004", tries=2)
    nano = Route("nano", 0.8, 2, checks, ("0.09", "0.36"), by_model="openai:gpt-4.1-nano", tries=5)
    vision = Route("vision", 0.88, 5, checks, ("0.36", "1.44"), by_model="openai:gpt-4.1-mini", tries=5)
    large = Route("large", 0.93, 12, checks, ("1.13", "9.00"), by_model="google:gemini-2.5-pro", tries=5)
    plans = {f"c-{n:03d}": "counter" for n in (41, 42, 44)} | {f"c-{n:03d}": "office" for n in (43, 45, 46)}
    plans["c-047"] = ""
    weights = dict.fromkeys(plans, 1.0) | {"c-043": 2.5, "c-044": 1.6}
    calm = office_hours(trace, first, 19, 470)
    morning = first + timedelta(days=10, hours=9)
    batch = [morning + timedelta(seconds=4 * n) for n in range(100)]
    for at in sorted([*calm, *batch]):
        resent = at in batch
        customer = "c-044" if resent else trace.pick(weights)
        plan = plans[customer]
        contract = not resent and trace.chance(0.01 if plan == "counter" else 0.14)
        quality = "poor" if resent else trace.pick({"poor": 0.06, "fair": 0.24, "good": 0.7})
        written = trace.chance(0.6 if resent else 0.03)
        pages = max(1, round(trace.around(9, 0.7))) if contract else max(1, round(trace.around(1.4, 0.6)))
        run = trace.begin(
            at,
            customer=customer,
            plan=plan,
            outcome="contract_clauses" if contract else "invoice_fields",
            pages=str(pages),
            scan_quality=quality,
            handwriting=str(written).lower(),
            language=trace.pick({"de": 0.6, "en": 0.2, "it": 0.08, "fr": 0.05, "other": 0.03, "": 0.04}),
        )
        run.size *= pages**0.8
        run.luck = 0 if resent and trace.chance(0.7) else {"poor": 0.6, "fair": 0.95}.get(quality, 1.05)
        difficult = written or quality == "poor"
        path = [vision, large] if contract or difficult else [ocr, nano, vision, large]
        trace.serve(run, "extract", path, (5_000, 1_800) if contract else (4_000, 1_500), last=True)
    return trace


TRACES: dict[str, Callable[[random.Random], Trace]] = {
    "customer_support": customer_support,
    "research_reports": research_reports,
    "release_risk": release_risk,
    "document_extraction": document_extraction,
}


def generate(name: str, seed: int = SEED) -> str:
    """The text of one trace. Each set has its own stream of numbers, so that changing one leaves the others alone."""
    return TRACES[name](random.Random(f"{seed}:{name}")).text()  # noqa: S311 - nothing here is a secret


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the synthetic traces of the example policies.")
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"which of {', '.join(TRACES)}; all if none is named")
    parser.add_argument("--seed", type=int, default=SEED, help="default: %(default)s, the seed of the files as shipped")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder with a folder per set")
    arguments = parser.parse_args()
    for name in arguments.sets or TRACES:
        if name not in TRACES:
            parser.error(f"no set is called {name}; there are {', '.join(TRACES)}")
        target = arguments.out / name / "trace.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(generate(name, arguments.seed), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

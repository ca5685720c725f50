"""A case that would notice a survivor: found by probing, written as a test, tried on both policies, then told."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from policy_engine.analysis.satisfy import Want
from policy_engine.evaluation.decision import Decision
from policy_engine.language.source import Source
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy
from policy_engine.testing.aspects import ASPECTS, amount
from policy_engine.testing.files import read_source
from policy_engine.testing.mutation.meaning import meaning
from policy_engine.testing.mutation.mutants import Mutant
from policy_engine.testing.mutation.report import Suggestion
from policy_engine.testing.mutation.trial import Trial
from policy_engine.testing.probing import Probe, Prober, smaller
from policy_engine.testing.probing.writing import flat, item

MOST_TRIED = 600
"""Probes per survivor."""

_STRONG = (
    "effect",
    "lane",
    "route",
    "draw",
    "price",
    "reserved",
    "cap",
    "deadline",
    "delay",
    "unit",
    "revenue",
    "window",
)
_WEAK = ("reason", "ceiling", "alerts", "shadow", "refused", "because_only", "because")
_PLACE = (Path(),)


class Suggesting:
    """Answers `Suggest` for the mutants of one trial."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._prober = Prober(trial.policy)

    def __call__(self, mutant: Mutant) -> Suggestion | None:
        """The first case with another effect, lane, route or amount; else the first with any other answer."""
        changed = self._trial.mutated(mutant)
        weak: Suggestion | None = None
        for probe in islice(self._probes(mutant), MOST_TRIED):
            before, after = probe.ask(self._trial.policy), probe.ask(changed)
            if before is None or after is None or before == after:
                continue
            expected, strong = _expected(probe.point, before, after)
            if not expected or (weak is not None and not strong):
                continue
            found = self._case(mutant, self._small(probe, changed, expected), expected, changed)
            if found is not None and strong:
                return found
            weak = weak or found
        return weak

    def _probes(self, mutant: Mutant) -> Iterator[Probe]:
        old, new = mutant.old, mutant.new
        if old is None:
            yield from self._prober.of_block(mutant.block)
            return
        rules = [old] if new is None else [old, new]
        yield from self._prober.of_rules(rules, list(_wants(mutant)))

    def _small(self, probe: Probe, changed: Policy, expected: dict[str, Any]) -> Probe:
        def tells(less: Probe) -> bool:
            before, after = less.ask(self._trial.policy), less.ask(changed)
            return before is not None and after is not None and _expected(less.point, before, after)[0] == expected

        return smaller(probe, tells)

    def _case(self, mutant: Mutant, probe: Probe, expected: dict[str, Any], changed: Policy) -> Suggestion | None:
        entry = {"case": _case_name(mutant), probe.point.value: flat(probe.entries), "expect": expected}
        text = "\n".join(f"  {line}" for line in item(entry))
        source = Source("suggested", f"decisions:\n{text}\n")
        file = read_source(source, Path("suggested.policytest.yaml"), {_PLACE: self._trial.policy})
        if len(file.cases) != 1:
            return None
        case = file.cases[0]
        before, after = probe.ask(self._trial.policy), probe.ask(changed)
        if not case.run(self._trial.policy).passed or case.run(changed).passed:
            return None
        return Suggestion(probe.point.value, probe.entries, str(before), str(after), text)


def _case_name(mutant: Mutant) -> str:
    """The rule and what it is not: no two survivors of a run suggest cases of one name."""
    name = mutant.ref.name if mutant.ref is not None else f"{mutant.setting} of {mutant.block}"
    if mutant.old is not None and mutant.new is None:
        return f"{name} is there"
    now, then = (" ".join(" ".join(texts).strip(" ,").split()) for texts in _texts(mutant))
    return f"{name}: {now}, not {then}" if now and then else f"{name}: with {now}" if now else f"{name}: without {then}"


def _texts(mutant: Mutant) -> tuple[list[str], list[str]]:
    """What stands where the mutant differs, and what it writes there."""
    return [edit.span.text for edit in mutant.edits], [edit.text for edit in mutant.edits]


def _wants(mutant: Mutant) -> Iterator[list[Want]]:
    old = mutant.old.condition if mutant.old is not None else None
    new = mutant.new.condition if mutant.new is not None else None
    if old is not None and new is not None and meaning(old) != meaning(new):
        if mutant.operator == "fallback order":
            yield [Want(old, True), Want(new, True)]
            return
        for before, after in ((True, False), (False, True), (None, True), (None, False), (True, None), (False, None)):
            yield [Want(old, before), Want(new, after)]
        return
    condition = old or new
    if condition is None:
        yield []
        return
    yield [Want(condition, True)]
    yield [Want(condition, False)]


# ---------------------------------------------------------------- what tells two decisions apart


def _expected(point: Point, before: Decision, after: Decision) -> tuple[dict[str, Any], bool]:
    """What a test should expect so that it passes before and fails after; and whether that is more than words."""
    aspects = ASPECTS[point.value]
    shown: dict[str, Any] = {"effect": before.effect}
    for key in (*_STRONG, *_WEAK):
        if key in aspects:
            was, now = aspects[key].take(before), aspects[key].take(after)
            if was != now:
                wanted = _written(key, was, now, before.currency) or aspects[key].got(was, before.currency)
                if wanted != (_written(key, now, was, before.currency) or aspects[key].got(now, before.currency)):
                    shown[key] = wanted
                    return shown, key in _STRONG
    return {}, False


def _written(key: str, was: Any, now: Any, currency: str) -> Any:
    """An aspect of several parts, as it is expected; None for one that is a word or an amount."""
    if key == "alerts":
        return {alert.ruling.rule.name: _percent(alert.percent) for alert in was} or "none"
    if key == "shadow":
        silent = {shadow.ruling.rule.name: "silent" for shadow in now}
        return silent | {s.ruling.rule.name: "refuses" if s.refuses else "passes" for s in was} or None
    if key == "refused":
        return {r.lane: [r.reason, *dict.fromkeys(ruling.rule.name for ruling in r.rulings)] for r in was} or "none"
    if key == "because_only":
        names = [ruling.rule.name for ruling in was]
        if names != [ruling.rule.name for ruling in now]:
            return names or "none"
        return {
            ruling.rule.name: {
                part: amount(getattr(ruling, part), ruling.unit, currency)
                for part in ("limit", "used", "asked")
                if getattr(ruling, part) is not None
            }
            for ruling in was
        }
    return None


def _percent(percent: Any) -> str:
    from policy_engine.language.units import print_percent

    return print_percent(percent)

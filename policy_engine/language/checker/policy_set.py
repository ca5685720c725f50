"""All files of a set together: what is declared, what is said once, and the whole checked policy."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar

from policy_engine.language import syntax as s
from policy_engine.language.checked import FILE_LEVEL, BlockId, CheckedPolicy, Fact, Lane, Outcome, Pack, Plan, Rule
from policy_engine.language.checker.amounts import Amounts
from policy_engine.language.checker.blocks import BlockChecker
from policy_engine.language.checker.facts import FactChecker
from policy_engine.language.checker.findings import Findings
from policy_engine.language.checker.names import Declared, Names
from policy_engine.language.checker.placement import keyword
from policy_engine.language.checker.rules import RuleChecker
from policy_engine.language.checker.settings import SettingChecker
from policy_engine.language.diagnostics import Diagnostic, in_order
from policy_engine.language.mistakes import amounts as amount_mistakes
from policy_engine.language.mistakes import blocks as block_mistakes
from policy_engine.language.mistakes import rules as rule_mistakes
from policy_engine.language.source import Source
from policy_engine.language.units import CURRENCIES

DEFAULT_CURRENCY = "USD"
"""Of a policy that names no amount of money; prices of models may still be known in it."""

DEFAULT_TIMEZONE = "UTC"

_Made = TypeVar("_Made")
_Once = TypeVar("_Once", s.CurrencyDeclaration, s.TimezoneDeclaration, s.StoreFailure)


def check(files: Sequence[s.File], *, partial: bool = False) -> tuple[CheckedPolicy | None, tuple[Diagnostic, ...]]:
    """The policy that the trees of one set say, or None; and every mistake in them, in order.

    `partial` says that statements are missing from the trees because they could not be read: mistakes
    that this alone may explain are then left out, and there is no policy.
    """
    ordered = sorted(files, key=lambda file: (file.source.name, file.source.text))
    findings = Findings(partial=partial)
    policy = _PolicySet(ordered, findings).check()
    return (None if findings.mistakes or partial else policy), in_order(findings.mistakes)


@dataclass(slots=True)
class _Found:
    """The declarations of all files, misplaced ones among them, so that what they declare is not missed."""

    currencies: list[s.CurrencyDeclaration] = field(default_factory=list)
    timezones: list[s.TimezoneDeclaration] = field(default_factory=list)
    store_failures: list[s.StoreFailure] = field(default_factory=list)
    facts: list[s.FactDeclaration] = field(default_factory=list)
    blocks: list[tuple[s.Block, s.Block | None]] = field(default_factory=list)  # each with the one around it
    rules: list[s.Rule] = field(default_factory=list)


class _PolicySet:
    def __init__(self, files: Sequence[s.File], findings: Findings) -> None:
        self._files = files
        self._findings = findings
        self._found = _Found()
        self._names = Names(findings)
        self._amounts = Amounts(findings)

    def check(self) -> CheckedPolicy | None:
        found, findings = self._found, self._findings
        self._collect_all()
        if len(found.rules) > rule_mistakes.MAX_RULES:
            extra = found.rules[rule_mistakes.MAX_RULES]
            findings.add(rule_mistakes.too_many_rules(keyword(extra), len(found.rules)))
            return None
        currency = self._currency()
        timezone = self._timezone()
        escrow = self._store_failure()
        facts = self._facts()
        self._names.read_facts(facts)
        blocks = self._blocks()
        items = [item for file in self._files for item in file.items]
        file_rules = blocks.rules_of(items, FILE_LEVEL)
        self._fallback_in_one_file()
        routes = [route for block, _ in self._of("route") if (route := blocks.route(block))]
        lanes = [lane for block, _ in self._of("lane") if (lane := blocks.lane(block))]
        plans = [plan for block, _ in self._of("plan") if (plan := blocks.plan(block))]
        packs = [pack for block, _ in self._of("pack") if (pack := blocks.pack(block))]
        workflows = [workflow for block, _ in self._of("workflow") if (workflow := blocks.workflow(block))]
        outcomes = [outcome for block, around in self._of("outcome") if (outcome := blocks.outcome(block, around))]
        self._currency_missing()

        return CheckedPolicy(
            currency=currency,
            timezone=timezone,
            facts={name: fact for name, fact in facts.items() if fact is not None},
            error_classes=self._names.error_classes,
            routes={route.name: route for route in routes},
            lanes={lane.name: lane for lane in lanes},
            plans={plan.name: plan for plan in plans},
            packs={pack.name: pack for pack in packs},
            workflows={workflow.name: workflow for workflow in workflows},
            outcomes={outcome.name: outcome for outcome in outcomes},
            rules=file_rules,
            escrow_nanos=escrow,
            digest=digest(file.source for file in self._files),
            sources=tuple(file.source for file in self._files),
        )

    def surroundings(self) -> tuple[RuleChecker, BlockChecker, Names, Amounts]:
        """What a statement is checked with, once everything that the set declares is entered."""
        self._collect_all()
        self._currency()
        self._names.read_facts(self._facts())
        return self._rules(), self._blocks(), self._names, self._amounts

    def _rules(self) -> RuleChecker:
        return RuleChecker(self._findings, self._names, self._amounts)

    def _blocks(self) -> BlockChecker:
        settings = SettingChecker(self._findings, self._names, self._amounts)
        return BlockChecker(self._findings, self._names, settings, self._rules())

    def _collect_all(self) -> None:
        for file in self._files:
            self._collect(file.items, None)

    def _collect(self, items: Iterable[s.Item], around: s.Block | None) -> None:
        found = self._found
        for item in items:
            match item:
                case s.CurrencyDeclaration():
                    found.currencies.append(item)
                case s.TimezoneDeclaration():
                    found.timezones.append(item)
                case s.StoreFailure():
                    found.store_failures.append(item)
                case s.FactDeclaration():
                    found.facts.append(item)
                    self._names.declare(Declared("fact", item.name, item))
                case s.ErrorDeclaration():
                    self._names.declare(Declared("error", item.name, item))
                case s.Block():
                    self._names.declare(Declared(item.kind, item.name, item))
                    found.blocks.append((item, around))
                    self._collect(item.items, item)
                case _ if isinstance(item, s.Rule):
                    found.rules.append(item)
                    if item.tails.label is not None:
                        self._names.label(item.tails.label)

    # ------------------------------------------------------------ what is said once in a set

    def _only(self, declarations: list[_Once]) -> _Once | None:
        """The first of them; the others are reported."""
        for extra in declarations[1:]:
            span, first = keyword(extra), keyword(declarations[0])
            self._findings.add(block_mistakes.declared_once(span, span.text, first))
        return declarations[0] if declarations else None

    def _currency(self) -> str:
        declarations = self._found.currencies
        declared = self._only(declarations)
        if declared is None:
            return DEFAULT_CURRENCY
        code = declared.code
        if code.text not in CURRENCIES:
            near = self._findings.near(code.text, sorted(CURRENCIES))
            self._findings.add(amount_mistakes.unknown_currency(code, near))
        elif len({declaration.code.text for declaration in declarations}) == 1:
            self._amounts.currency, self._amounts.declared = code.text, declared.span
        return code.text

    def _currency_missing(self) -> None:
        first = self._amounts.first_money
        if first is not None and not self._found.currencies:
            self._findings.absent(amount_mistakes.no_currency(first))

    def _timezone(self) -> str:
        declared = self._only(self._found.timezones)
        if declared is None:
            return DEFAULT_TIMEZONE
        zone = declared.zone.value
        if not _is_timezone(zone):
            self._findings.add(block_mistakes.unknown_timezone(declared.zone, self._near_timezone(zone)))
        return zone

    def _near_timezone(self, zone: str) -> str | None:
        from zoneinfo import available_timezones

        zones = sorted(available_timezones())
        places = {zone.rpartition("/")[2]: zone for zone in zones}
        near = self._findings.near(zone, [*zones, *places])
        return places.get(near, near) if near is not None else None

    def _store_failure(self) -> int | None:
        declared = self._only(self._found.store_failures)
        if declared is None or declared.within is None:
            return None
        hint = "write `on store failure deny`"
        return self._amounts.positive_money(declared.within, "an allowance", hint)

    def _fallback_in_one_file(self) -> None:
        first: s.Fallback | None = None
        for file in self._files:
            here = next((item for item in file.items if isinstance(item, s.Fallback)), None)
            if here is not None and first is not None:
                self._findings.add(rule_mistakes.fallback_in_two_files(keyword(here), keyword(first)))
            first = first or here

    # ------------------------------------------------------------ declarations

    def _facts(self) -> dict[str, Fact | None]:
        checker = FactChecker(self._findings, self._amounts)
        facts: dict[str, Fact | None] = {}
        for declaration in self._found.facts:
            fact = checker.check(declaration)
            facts.setdefault(declaration.name.text, fact)
        return facts

    def _of(self, kind: str) -> Iterator[tuple[s.Block, str]]:
        """Every block of a kind, with the name of the one around it."""
        for block, around in self._found.blocks:
            if block.kind == kind:
                yield block, around.name.text if around is not None else ""


def _is_timezone(name: str) -> bool:
    """Whether the time zone database has this name (not a file of the same place by another name)."""
    from zoneinfo import ZoneInfo

    if name.startswith(("posix/", "right/")) or name in ("localtime", "posixrules"):
        return False
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # malformed, a directory or too long, not there
        return False
    return True


def digest(sources: Iterable[Source]) -> str:
    """The content digest of a set: names without their folders, and texts, whatever their order."""
    hashed = sha256()
    named = ((source.name.replace("\\", "/").rpartition("/")[2], source.text) for source in sources)
    for pair in sorted(named):
        for part in pair:
            data = part.encode("utf-8", "surrogatepass")
            hashed.update(f"{len(data)}:".encode() + data)
    return hashed.hexdigest()


class Rechecker:
    """Checks changed statements of a set that has no mistake, each as if it stood in the place of another.

    What the statements declare is read once; every method gives None where the changed statement has a mistake.
    """

    def __init__(self, files: Sequence[s.File]) -> None:
        self._findings = Findings(partial=False)
        self._rules, self._blocks, self._names, self._amounts = _PolicySet(files, self._findings).surroundings()
        self.error_classes = self._names.error_classes

    def rule(self, rule: s.Rule, block: BlockId) -> Rule | None:
        """The checked rule that stands in this block."""
        handoff = block.kind == "route" and self._names.route_kind(block.name) == "handoff"
        return self._sound(self._rules.check(rule, block, handoff=handoff))

    def lane(self, block: s.Block) -> Lane | None:
        """The checked lane."""
        return self._sound(self._blocks.lane(block))

    def plan(self, block: s.Block) -> Plan | None:
        """The checked plan."""
        return self._sound(self._blocks.plan(block))

    def pack(self, block: s.Block) -> Pack | None:
        """The checked pack."""
        return self._sound(self._blocks.pack(block))

    def outcome(self, block: s.Block, workflow: str) -> Outcome | None:
        """The checked outcome of a workflow."""
        return self._sound(self._blocks.outcome(block, workflow))

    def escrow(self, declared: s.StoreFailure) -> int | None:
        """The amount of `on store failure allow within`, in nano units."""
        return None if declared.within is None else self._sound(self._amounts.positive_money(declared.within, "", ""))

    def values(self, name: str) -> tuple[str, ...]:
        """The values of the enum that conditions read under this name; none where it is no enum."""
        readable = self._names.reads_values(name)
        return readable.values if readable is not None else ()

    def _sound(self, made: _Made | None) -> _Made | None:
        mistakes = self._findings.mistakes
        if not mistakes:
            return made
        mistakes.clear()
        return None

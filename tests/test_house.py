"""The house: imports run down the floors, heavy packages stay in their rooms, importing is cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import policy_engine

PACKAGE = Path(policy_engine.__file__).parent

FLOORS = {
    "language.source": 0,
    "language.units": 0,
    "language.vocabulary": 0,
    "language.diagnostics": 0,
    "language.syntax": 1,
    "language.checked": 1,
    "language.pricing": 1,
    "language.mistakes": 1,
    "language.limits": 1,
    "language.slips": 1,
    "language.encoding": 1,
    "evaluation.facts": 1,
    "evaluation.decision": 1,
    "evaluation.evaluator": 1,
    "evaluation.guard": 1,
    "evaluation.terms": 1,
    "evaluation.meters": 1,
    "language.parser": 2,
    "language.checker": 2,
    "language.formatter": 2,
    "evaluation.reference": 2,
    "evaluation.compiler": 2,
    "evaluation.batch": 2,
    "evaluation.context": 2,
    "prices": 2,
    "prices.table": 3,  # reads a lock where it is asked to
    "policy": 3,
    "ledger": 4,
    "analysis": 4,
    "runtime": 5,
    "insight": 6,
    "adapters": 6,
    "telemetry": 6,
    "testing": 6,
    "pytest_plugin": 7,
    "": 6,
    "cli": 7,
}
"""The floor of each room: of a module, or of all modules of a folder."""

STAGES = {
    "language.parser": (
        "language.builder",
        "language.recovery",
        "language.lexemes",
        "language.pushdown",
        "language.remedies",
        "language.word_remedies",
    ),
    "language.checker": (),
    "language.formatter": ("language.printer",),
    "evaluation.reference": (),
    "evaluation.compiler": (),
    "evaluation.batch": (),
    "evaluation.context": (
        "evaluation.entries",
        "evaluation.quick",
        "evaluation.quick_entries",
        "evaluation.quick_types",
    ),
}
"""The stages of floor 2, with the modules that belong to each; no stage imports another."""

ROOM_OF = {module: stage for stage, modules in STAGES.items() for module in modules}

HEAVY = {
    "lark": ("language.parser",),
    "pydantic": (
        "evaluation.context",
        "evaluation.entries",
        "prices.lock",
        "analysis.lint.settings_table",
        "testing.forms",
    ),
    "genai_prices": ("prices.catalogue",),
    "yaml": ("testing.nodes",),
    "hypothesis": ("testing.strategies",),
    "rich": ("cli",),
    "click": ("cli",),
    "cachetools": ("evaluation", "prices"),
    "polars": ("evaluation.batch", "ledger.parquet", "policy"),  # the latter for an annotation
    "z3": ("analysis.satisfy.prove",),
    "openai": ("adapters.openai",),
    "anthropic": ("adapters.anthropic",),
    "opentelemetry": ("telemetry.otel",),
}
"""Where a heavy package may be imported."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Every module imported, its line, and whether only for annotations."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, node in for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno, node in for_types


def room(module: str) -> str:
    """The room of a module: its own name if it has a floor, else its stage, else its folder."""
    if module in ROOM_OF:
        return ROOM_OF[module]
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in FLOORS:
            return name
        if name in ROOM_OF:
            return ROOM_OF[name]
    return module


def inside(name: str) -> str | None:
    """`policy_engine.language.units.Rates` → the module it lives in, without the package's name."""
    if name != "policy_engine" and not name.startswith("policy_engine."):
        return None
    parts = name.split(".")[1:]
    for length in range(len(parts), -1, -1):
        path = PACKAGE.joinpath(*parts[:length])
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return ".".join(parts[:length])
    return ""


def test_every_module_has_a_floor() -> None:
    # a folder with nothing but an empty __init__ is a shelf, not a room
    homeless = [name for name, path in modules() if room(name) not in FLOORS and path.stat().st_size]
    assert not homeless, f"give these a floor in FLOORS: {homeless}"


def test_imports_run_down_the_floors() -> None:
    climbing = []
    for name, path in modules():
        here = room(name)
        for target, line, for_types in imported(path):
            module = inside(target)
            if module is None or for_types or room(module) == here or (name == "" and module == ""):
                continue
            there = room(module)
            same_floor = FLOORS[there] == FLOORS[here] and here not in STAGES and there not in STAGES
            if FLOORS[there] > FLOORS[here] or (FLOORS[there] == FLOORS[here] and not same_floor):
                climbing.append(f"{name}:{line} (floor {FLOORS[here]}) imports {module} (floor {FLOORS[there]})")
    assert not climbing, "\n".join(climbing)


def test_there_are_no_import_cycles() -> None:
    graph = {
        name: {inside(target) for target, _, for_types in imported(path) if not for_types} - {None, name}
        for name, path in modules()
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join((*above, name))
        if name in done:
            return
        for target in graph.get(name, ()):
            if target:
                visit(target, (*above, name))
        done.add(name)

    for name in graph:
        if name:
            visit(name, ())


@pytest.mark.parametrize(("package", "rooms"), HEAVY.items())
def test_heavy_packages_stay_in_their_rooms(package: str, rooms: tuple[str, ...]) -> None:
    found = [
        f"{name}:{line}"
        for name, path in modules()
        for target, line, _ in imported(path)
        if target.split(".")[0] == package and not any(name == r or name.startswith(r + ".") for r in rooms)
    ]
    assert not found


def test_nothing_below_the_ledger_asks_the_world() -> None:
    """No clock, randomness, environment or logging below floor 4; no file is opened below floor 3."""
    worldly = {"time", "random", "secrets", "os", "logging", "subprocess", "socket", "threading"}
    found: list[str] = []
    for name, path in modules():
        floor = FLOORS.get(room(name), 9)
        for target, line, _ in imported(path):
            top = target.split(".")[0]
            if top == "threading" and name in ("language.parser", "policy", "evaluation.compiler"):
                continue  # a lock around shared state is no look at the world
            if floor < 4 and top in worldly and target != "os.PathLike":
                found.append(f"{name}:{line} imports {target}")
        if floor < 3 and name != "language.parser":  # the parser reads its grammar, once
            tree = ast.parse(path.read_text(encoding="utf-8"))
            opened = [
                node.lineno
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
                and getattr(node.func, "attr", getattr(node.func, "id", ""))
                in ("open", "read_text", "read_bytes", "now", "today")
            ]
            found += [f"{name}:{line} reads" for line in opened]
    assert not found


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, policy_engine; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for package in ("lark", "pydantic", "yaml", "click", "rich", "cachetools", "polars", "dataclasses"):
        assert f"'{package}'" not in loaded


def test_public_names_are_sorted_and_real() -> None:
    assert policy_engine.__all__ == sorted(policy_engine.__all__)
    for name in policy_engine.__all__:
        assert getattr(policy_engine, name) is not None
    assert set(policy_engine.__all__) <= set(dir(policy_engine))
    with pytest.raises(AttributeError, match="laod"):
        policy_engine.laod  # noqa: B018 - a misspelt name


def test_files_hold_one_idea() -> None:
    long = {
        name: lines for name, path in modules() if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 600
    }
    assert not long

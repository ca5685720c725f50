"""The documents say what is so: generated tables are current, snippets run, links lead somewhere.

`python tests/test_docs.py` rewrites the generated tables.
"""

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from policy_engine.insight.trace import COLUMNS
from policy_engine.language.diagnostics import render
from policy_engine.language.parser import parse
from policy_engine.language.source import Source
from policy_engine.language.vocabulary import (
    BLOCK_KINDS,
    BUILTINS,
    ERROR_CLASSES,
    FILE,
    NEVER_RETRIED,
    PLACEMENT,
    RESERVED,
    SHADOWED,
    TAIL_ORDER,
    TAILS,
    Point,
)

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "policies" / "README.md",
]
REFERENCE = ROOT / "docs" / "language.md"
ONE_PAGE = ROOT / "tests" / "data" / "page.policy"

# ---------------------------------------------------------------- generated tables

TAIL_WORDS = {
    "on": "`on CLASS, …`",
    "backoff": "`backoff FIRST..LONGEST`",
    "condition": "`when`, `unless`",
    "alert": "`alert at`",
    "label": "`as NAME`",
}


def reserved_words() -> str:
    return " ".join(f"`{word}`" for word in sorted(RESERVED))


def row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def table(head: list[str], rows: list[str]) -> str:
    return "\n".join([row(*head), row(*["---"] * len(head)), *rows])


def mark(condition: bool) -> str:
    return "●" if condition else " "


def error_classes() -> str:
    rows = [row(f"`{name}`", mark(name not in NEVER_RETRIED), mark(name != "cancelled")) for name in ERROR_CLASSES]
    return table(["class", "may be retried", "meant by `any`"], rows)


def placement() -> str:
    columns = (FILE, *BLOCK_KINDS)
    rows = [row(f"`{what}`", *(mark(place in places) for place in columns)) for what, places in PLACEMENT.items()]
    return table(["may stand in", *columns], rows)


def tails() -> str:
    rows = [
        row(f"`{rule}`", *(mark(tail in taken) for tail in TAIL_ORDER), mark(rule in SHADOWED))
        for rule, taken in TAILS.items()
    ]
    return table(["rule", *(TAIL_WORDS[tail] for tail in TAIL_ORDER), "after `shadow`"], rows)


def builtin_names() -> str:
    rows = []
    for name in BUILTINS.values():
        known = "everywhere" if name.points == frozenset(Point) else ", ".join(p for p in Point if p in name.points)
        known += "; `fallback` only" if name.fallback_only else ""
        meaning = name.meaning + ("; may be unknown" if name.optional else "")
        rows.append(row(f"`{name.name}`", name.unit, known, meaning))
    return table(["name", "type", "known at", "meaning"], rows)


GENERATED: dict[str, Callable[[], str]] = {
    "reserved words": reserved_words,
    "error classes": error_classes,
    "placement": placement,
    "tails": tails,
    "built-in names": builtin_names,
}


def with_tables(text: str) -> str:
    for name, make in GENERATED.items():
        pattern = re.compile(rf"(<!-- generated: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = pattern.subn(rf"\g<1>{make()}\n\g<2>", text)  # no table has a backslash
        assert found == 1, f"{name} stands {found} times in the reference"
    return text


def test_the_tables_of_the_reference_are_current() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert text == with_tables(text), "run `python tests/test_docs.py`"


@pytest.mark.parametrize("page", [REFERENCE, ROOT / "README.md"], ids=lambda path: path.name)
def test_the_one_page_policy_is_the_tested_one(page: Path) -> None:
    assert f"```policy\n{ONE_PAGE.read_text(encoding='utf-8')}```\n" in page.read_text(encoding="utf-8")


def test_the_replay_page_names_every_column() -> None:
    text = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    table = "".join(line for line in text.splitlines(keepends=True) if line.startswith("|"))
    assert [column for column in COLUMNS if f"`{column}`" not in table] == []


# ---------------------------------------------------------------- snippets


def blocks(page: Path, language: str) -> Iterator[tuple[int, str, str]]:
    """Fenced blocks in a language: the line they begin on, their text, and the `text` block right after, if any."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(rf"^```{language}\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", text, re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, match.start()) + 1, match[1], match[2] or ""


def snippets(language: str) -> list[object]:
    return [
        pytest.param(code, shown, id=f"{page.name}:{line}")
        for page in PAGES
        for line, code, shown in blocks(page, language)
    ]


@pytest.mark.parametrize(("code", "shown"), snippets("policy"))
def test_policy_snippets_parse(code: str, shown: str) -> None:
    _, mistakes = parse(Source("snippet.policy", code))
    assert not mistakes, render(mistakes)


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder in which a reader may paste: policies, a flawed one, support.policy (the one page), a ticket, a ledger.

    And the files that the reader's page shows, each under the name in its first line.
    """
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    shutil.copytree(ROOT / "tests" / "data" / "flawed", tmp_path / "flawed")
    shutil.copy(ONE_PAGE, tmp_path / "support.policy")
    ticket = {"customer": "acme", "plan": "growth", "outcome": "support_draft", "risk": "high", "region": "us"}
    (tmp_path / "ticket.json").write_text(json.dumps(ticket) + "\n", encoding="utf-8")
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.executescript((ROOT / "tests" / "ledger" / "schema_1.sql").read_text(encoding="utf-8"))
    connection.close()
    read = request.node.callspec.id.partition(":")[0]
    own = [page for page in PAGES if page.name == read]
    for _, text, _ in (found for page in own for language in ("yaml", "policy") for found in blocks(page, language)):
        name = text.partition("\n")[0].removeprefix("# ")
        if re.fullmatch(r"\w+\.(policy|policytest\.yaml)", name):
            (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(command: list[str], folder: Path) -> tuple[str, int]:
    """What a command prints, both streams together, and its exit code."""
    # The copy is the working folder, so the package is found where it is installed from.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout, done.returncode


@pytest.mark.slow
@pytest.mark.parametrize(("code", "shown"), snippets("python"))
def test_python_snippets_run(code: str, shown: str, desk: Path) -> None:
    printed, exit_code = run([sys.executable, "-c", code], desk)
    assert exit_code == 0, printed
    if shown:
        assert printed == shown


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md", "runtime.md", "recipes.md", "adapters.md", "ledger.md", "telemetry.md"])
def test_a_page_can_be_read_in_one_folder_and_again(name: str, desk: Path) -> None:
    """A reader pastes one block after the other, and the whole page once more the next day: ledgers keep what was."""
    page = next(page for page in PAGES if page.name == name)
    for _ in range(2):
        for line, code, _ in blocks(page, "python"):
            printed, exit_code = run([sys.executable, "-c", code], desk)
            assert exit_code == 0, f"{name}:{line}\n{printed}"


@pytest.mark.slow
@pytest.mark.parametrize(("code", "shown"), snippets("console"))
def test_console_snippets_print_what_is_shown(code: str, shown: str, desk: Path) -> None:
    """Lines that start with `$ ` are run; what they print is what stands below them, `…` for anything."""
    commands = re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]
    assert commands, "a console snippet without a command"
    for command in commands:
        line, _, expected = command.partition("\n")
        words = shlex.split(line)
        assert words[0] in ("policy", "cat"), "only the tool itself is run"
        printed, _ = run(words, desk)
        assert "Traceback" not in printed
        pattern = ".*?".join(re.escape(part) for part in expected.rstrip("\n").split("…"))
        assert re.fullmatch(pattern, printed.rstrip("\n"), re.DOTALL), printed


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)?(?:#[^)\s]*)?\)", text):
        if target and "://" not in target:
            assert (page.parent / target).exists(), f"{target} is not there"


def test_anchors_of_the_reference_exist() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


if __name__ == "__main__":
    REFERENCE.write_text(with_tables(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")

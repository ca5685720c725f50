"""Settings of a project: where they are found, what they say, and what is said of those that cannot be used."""

from pathlib import Path

import pytest

from policy_engine.analysis.lint.choice import Choice, unknown_words
from policy_engine.analysis.lint.discovery import by_code_or_name, every_rule
from policy_engine.analysis.lint.rule import Tier
from policy_engine.analysis.lint.settings import Settings, settings_for, settings_in
from policy_engine.analysis.lint.settings_mistakes import SettingsError


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def codes(choice: Choice) -> set[str]:
    return {rule.code for rule in every_rule() if choice.takes(rule)}


ALL = {rule.code for rule in every_rule() if not rule.opt_in}


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ((), (), ALL),
        (("L",), (), ALL),
        (("L001",), (), {"L001"}),
        (("outcome-without-money-ceiling",), (), {"L001"}),
        ((), ("L0",), set()),
        ((), ("L001",), ALL - {"L001"}),
        (("L09",), ("L090",), {"L091", "L092", "L093"}),
        # the longest word that fits decides
        (("L001",), ("L00",), {"L001"}),
        (("L00",), ("L001",), {code for code in ALL if code.startswith("L00")} - {"L001"}),
        (("L001",), ("L001",), set()),
        (("L001",), ("outcome-without-money-ceiling",), set()),
        # a rule about taste is chosen by itself
        (("L07",), ("L070", "L071", "L072", "L073", "L075", "L076"), set()),
        (("L07", "L074"), ("L070", "L071", "L072", "L073", "L075", "L076"), {"L074"}),
    ],
)
def test_what_a_choice_takes(select: tuple[str, ...], ignore: tuple[str, ...], expected: set[str]) -> None:
    assert codes(Choice(select=select, ignore=ignore)) == expected


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("l001", "write `L001`"),
        ("outcome-without-money-cieling", "did you mean `outcome-without-money-ceiling`?"),
        ("X1", "`policy lint --list` shows all rules"),
        ("", "`policy lint --list` shows all rules"),
        ("L999", "`policy lint --list` shows all rules"),
    ],
)
def test_words_that_name_no_rule(word: str, hint: str) -> None:
    assert unknown_words([word]) == [(word, hint)]


def test_a_tier_may_be_changed() -> None:
    rule = by_code_or_name()["L001"]
    assert Choice().tier(rule) is rule.tier
    assert Choice(tiers={"L001": Tier.ERROR}).tier(rule) is Tier.ERROR
    assert Choice(tiers={rule.name: Tier.NOTE}).tier(rule) is Tier.NOTE


def test_the_nearest_file_is_read_alone(tmp_path: Path) -> None:
    written(tmp_path, "pyproject.toml", '[tool.policy_engine.lint]\nselect = ["L001"]\nignore = ["L09"]\n')
    near = written(
        tmp_path / "a", "policy.toml", '[lint]\nignore = ["L002"]\nfail-on = "note"\ntiers = { L001 = "error" }\n'
    )
    written(tmp_path / "a", "pyproject.toml", '[tool.policy_engine.lint]\nselect = ["L090"]\n')
    policy = written(tmp_path / "a" / "b", "x.policy", "")
    expected = Settings(choice=Choice(ignore=("L002",), tiers={"L001": Tier.ERROR}), fail_on=Tier.NOTE, file=near)
    assert settings_for([policy]) == expected
    assert settings_for([tmp_path / "a" / "b"]) == expected
    # several paths: what holds for all of them
    other = written(tmp_path / "c", "y.policy", "")
    assert settings_for([policy, other]).choice == Choice(select=("L001",), ignore=("L09",))


def test_a_project_file_that_does_not_speak_of_us_is_passed_over(tmp_path: Path) -> None:
    written(tmp_path, "policy.toml", "[lint]\nignore = ['L09']\n")
    policy = written(tmp_path / "a", "x.policy", "")
    for text in ("[tool.other]\nx = 1\n", "tool = 3\n", "this is = = no TOML"):
        written(tmp_path / "a", "pyproject.toml", text)
        assert settings_for([policy]).choice == Choice(ignore=("L09",))


def test_without_settings_all_rules_run(tmp_path: Path) -> None:
    assert settings_in(written(tmp_path, "policy.toml", "")).choice == Choice()
    assert settings_in(written(tmp_path, "pyproject.toml", "")).fail_on is Tier.WARNING


PROJECT = "[tool.policy_engine.lint]\n"
LIST = 'write a list of texts, such as ["L01", "L020"]'
TABLE = 'write a table of codes and tiers, such as { L012 = "error" }'
WORD = 'write "error", "warning" or "note"'


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("[lnit]", "lnit", "`lnit` is no section", "did you mean `lint`?"),
        ("[lint]\nselct = []", "lint.selct", "`selct` is no setting", "did you mean `select`?"),
        ("[lint]\nselect = 'L001'", "lint.select", "this is no list", LIST),
        ("[lint]\nignore = [1]", "lint.ignore.0", "this is no text", LIST),
        ("[lint]\nfail-on = 'warn'", "lint.fail-on", "`warn` is no tier", "did you mean `warning`?"),
        ("[lint]\nfail_on = 'note'", "lint.fail_on", "`fail_on` is no setting", "did you mean `fail-on`?"),
        ("[lint]\nfail-on = 3", "lint.fail-on", "this is no text", WORD),
        ("[lint]\ntiers = { L001 = 'x' }", "lint.tiers.L001", "`x` is no tier", "tiers are `error`, `warning`, `note`"),
        ("[lint]\ntiers = ['L001']", "lint.tiers", "this is no table", TABLE),
        ("lint = 3", "lint", "this is no table", "write it as `[lint]`"),
    ],
)
def test_what_is_said_of_settings_that_cannot_be_used(
    tmp_path: Path, text: str, place: str, message: str, hint: str
) -> None:
    file = written(tmp_path, "policy.toml", text)
    with pytest.raises(SettingsError) as caught:
        settings_for([tmp_path])
    assert (caught.value.place, caught.value.message, caught.value.hint) == (f"{file}: {place}", message, hint)


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("[tool.policy_engine]\nselect = []", "tool.policy_engine.select", "sections are `lint`"),
        (PROJECT + "select = ['l001']", "tool.policy_engine.lint.select", "write `L001`"),
        ("[tool]\npolicy_engine = 3", "tool.policy_engine", "write it as `[tool.policy_engine]`"),
    ],
)
def test_a_project_file_is_named_by_its_whole_keys(tmp_path: Path, text: str, place: str, hint: str) -> None:
    file = written(tmp_path, "pyproject.toml", text)
    with pytest.raises(SettingsError) as caught:
        settings_for([tmp_path])
    assert (caught.value.place, caught.value.hint) == (f"{file}: {place}", hint)


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    file = written(tmp_path, "policy.toml", "this is = = no TOML")
    with pytest.raises(SettingsError, match="this is no TOML"):
        settings_for([tmp_path])
    with pytest.raises(SettingsError, match="this is no TOML"):
        settings_in(file)
    with pytest.raises(SettingsError, match="this is no TOML"):
        settings_in(written(tmp_path, "pyproject.toml", "x ="))


@pytest.mark.parametrize(
    "text",
    [
        "[tool.policy_engine.lint]\nselect = ['L']\nselect = ['L']\n",
        "[tool.policy_engine.lint]\nfail-on = note\n",
    ],
)
def test_a_project_file_that_speaks_of_us_and_cannot_be_read(text: str, tmp_path: Path) -> None:
    """What it says would be lost in silence."""
    written(tmp_path, "pyproject.toml", text)
    with pytest.raises(SettingsError, match="this is no TOML"):
        settings_for([tmp_path])


def test_a_file_nested_too_deep(tmp_path: Path) -> None:
    written(tmp_path, "policy.toml", "a = " + "[" * 50_000)
    with pytest.raises(SettingsError, match="nested too deep"):
        settings_for([tmp_path])

"""Mistakes across statements and files: all of a set in one run, none twice, none invented."""

from policy_engine.language import checker
from policy_engine.language.mistakes.rules import MAX_RULES
from policy_engine.language.parser import parse
from policy_engine.language.source import Source
from policy_engine.policy import compile_sources
from tests.language.checking import checked, codes, compiled


def test_file_level_fallback_in_one_file() -> None:
    policy = checked("fallback next on timeout fallback stop", "retry 1", "workflow w { fallback next }")
    assert [rule.target for rule in policy.rules.fallbacks] == ["next", "stop"]
    _, found = compiled("fallback next", "fallback stop fallback stop", "retry 1", "fallback stop")
    assert [(item.code, str(item.span)) for item in found] == [("P260", "b.policy:1:1"), ("P260", "d.policy:1:1")]
    assert [str(item.notes[0].span) for item in found] == ["a.policy:1:1", "a.policy:1:1"]


def test_notes_name_the_second_place() -> None:
    (found,) = compiled("lane x { y }", 'route y { model "m" } plan x { }')[1]
    assert found.code == "P202"
    (note,) = found.notes
    assert (note.message, str(note.span)) == ("first declared here, as a lane", "a.policy:1:6")


MANY = """currency USD
fact risk: low < medium < high = hihg
route mini { model "m"  tool "t" }
lane standard { mini -> maxi }
lane other { mini }
ceiling 0.30 per outcome
ceiling $9 per monht when regoin is eu
retry 2 on timeout, ratelimit, auth backoff 4s..1s
allow when lane is standard and spent > 5 or risk >= low
workflow support {
  price $1
  outcome draft { lanes standrad  margin at least 100%  fallback tier3 on timeot }
}
plan base { fee $1 per yaer  includes 0 drafts }
forbid as a
forbid as a
"""


def test_all_mistakes_in_one_run_in_order() -> None:
    policy, found = compiled(MANY)
    assert policy is None
    assert [item.span.order for item in found] == sorted(item.span.order for item in found)
    assert [(item.code, item.span.text) for item in found] == [
        ("P228", "hihg"),
        ("P267", "tool"),
        ("P209", "maxi"),
        ("P252", "0.30"),
        ("P203", "monht"),
        ("P201", "regoin"),
        ("P206", "ratelimit"),
        ("P256", "auth"),
        ("P258", "backoff 4s..1s"),
        ("P212", "lane"),
        ("P212", "spent"),
        ("P220", "5"),
        ("P223", "risk >= low"),
        ("P241", "price"),
        ("P265", "draft"),
        ("P209", "standrad"),
        ("P238", "100%"),
        ("P209", "tier3"),
        ("P206", "timeot"),
        ("P218", "yaer"),
        ("P237", "0"),
        ("P209", "drafts"),
        ("P214", "a"),
    ]


def test_mistakes_of_missing_statements_are_left_out_of_a_partial_check() -> None:
    absent = """
    lane standard { mini }
    workflow support { outcome draft { } }
    route maxi { }
    pack p { }
    lane empty { }
    forbid when region is eu and plan is growth
    allow when workflow is support
    retry 1 on stale_index
    ceiling $1 per day
    """
    file, found = parse(Source("a.policy", absent))
    assert found == ()
    assert checker.check([file], partial=True) == (None, ())
    _, whole = checker.check([file])
    assert {item.code for item in whole} == {"P201", "P206", "P209", "P223", "P228", "P232", "P265"}
    present, _ = parse(Source("b.policy", "ceiling 0.30 per outcome  fact x: low < high  forbid when x >= low"))
    assert [item.code for item in checker.check([file, present], partial=True)[1]] == ["P252", "P223"]


def test_too_many_rules() -> None:
    half = "forbid " * (MAX_RULES // 2)
    assert codes(half, half) == []
    (found,) = compiled(half, half, "# one more:\nforbid")[1]
    assert (found.code, str(found.span)) == ("P310", "c.policy:2:1")


def test_near_misses_have_a_budget() -> None:
    facts = "\n".join(f"fact some_fact_{i}: boolean" for i in range(500))
    rules = "\n".join(f"forbid when sme_fact_{i}" for i in range(500))
    hints = [item.hint for item in compiled(facts, rules)[1]]
    assert hints[0].startswith("did you mean")
    assert hints[-1].startswith("declare it")


def test_the_digest_is_of_names_and_texts() -> None:
    def digest(*sources: tuple[str, str]) -> str:
        policy, _ = compile_sources([Source(name, text) for name, text in sources])
        assert policy is not None
        return policy.digest

    one, two = ("x/a.policy", "retry 1"), ("x/b.policy", "forbid")
    assert digest(one, two) == digest(two, one) == digest(("y\\a.policy", "retry 1"), ("b.policy", "forbid"))
    assert digest(one, two) != digest(("x/c.policy", "retry 1"), two)
    assert digest(one, two) != digest(("x/a.policy", "retry 2"), two)
    assert digest(("a", "# \ud800")) != digest(("a", "# "))


def test_a_name_declared_twice_gives_no_mistake_where_it_is_read() -> None:
    twice = "fact risk: low < high fact risk: calm < wild forbid when risk >= wild or risk is low or wild is risk"
    assert codes(twice) == [("P202", "risk")]

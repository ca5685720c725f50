"""Every mistake that no condition makes: its code and the words that are underlined.

A mistake is written into its policy: `«…»` stands around the words that must be underlined.
"""

import pytest

from tests.language.checking import codes, compiled

HEAD = """currency USD
route mini { model "m"  cost $1 }
route tier2 { handoff "people" }
lane standard { mini -> tier2 }
workflow support { outcome draft { price $1  lanes standard } }
error stale_index
"""


@pytest.mark.parametrize(
    ("code", "text"),
    [
        # names
        ("P202", "fact «mini»: text"),
        ("P202", "plan «draft» { }"),
        ("P202", "error «stale_index»"),
        ("P207", "fact «spent»: money"),
        ("P207", "lane «count» { mini }"),
        ("P207", "error «timeout»"),
        ("P207", "fact «true»: boolean"),
        ("P207", "plan «any» { }"),
        ("P264", "fact «__class__»: boolean"),
        ("P264", "error «__»"),
        ("P209", "lane third { «maxi» }"),
        ("P209", "fallback «maxi»"),
        ("P209", "workflow x { outcome y { price $1  lanes «premium» } }"),
        ("P209", "pack p { 10 «drafts» for $1 }"),
        ("P209", "plan p { includes 10 «drafts» }"),
        ("P209", "plan p { overage $1 per «drafts» }"),
        ("P210", "fallback «standard»"),
        ("P210", "plan p { includes 10 «support» }"),
        ("P214", "forbid as x  retry 1 as «x»"),
        ("P206", "retry 1 on «time_out»"),
        ("P206", "fallback next on timeout, «mini»"),
        ("P219", "retry 1 on timeout, «timeout»"),
        ("P219", "lane third { mini -> «mini» }"),
        ("P219", "workflow x { outcome y { price $1  lanes standard, «standard» } }"),
        ("P219", "plan p { includes 1 draft, 2 «draft» }"),
        ("P219", "plan p { overage $1 per draft, $2 per «draft» }"),
        ("P219", "ceiling $1 per day alert at 50%, «50%»"),
        ("P257", "retry 1 on timeout, «any»"),
        ("P256", "retry 1 on «auth»"),
        ("P256", "retry 1 on timeout, «cancelled»"),
        # scopes
        ("P203", "ceiling $1 per «monht»"),
        ("P203", "ceiling $1 per «fortnight»"),
        ("P203", "ceiling $1 per customer per «dya»"),
        ("P204", "ceiling $1 per «outcom»"),
        ("P204", "ceiling $1 per «team» per day"),
        ("P204", "ceiling $1 per day per «team»"),
        ("P204", "limit 5 per «attempt»"),
        ("P204", "limit 5 per «step» per day"),
        ("P243", "«ceiling $1»"),
        ("P243", "«ceiling 90s»"),
        ("P243", "«limit 5» as x"),
        ("P243", "«shadow ceiling $1»"),
        ("P244", "ceiling $1 per «plan»"),
        ("P244", "limit 5 per «outcome»"),
        ("P245", "ceiling $1 per «day per customer»"),
        ("P246", "ceiling $1 per «customer per plan»"),
        ("P246", "ceiling $1 per «customer per outcome»"),
        ("P246", "ceiling $1 per «customer per plan per day»"),
        ("P247", "ceiling $1 per hour per «day»"),
        ("P248", "ceiling $1 per attempt per «day»"),
        ("P248", "ceiling $1 per step per «day»"),
        ("P249", "ceiling 3 attempts per «attempt»"),
        ("P250", "ceiling 9s per «day»"),
        ("P250", "ceiling 9s per «customer per day»"),
        ("P251", "ceiling 9% of price per «day»"),
        ("P261", "limit 5 per «lane» per day"),
        ("P261", "limit 5 per «route» per day"),
        ("P261", 'route tier3 { handoff "x"  limit 5 per «route» per day }'),
        # amounts
        ("P231", "ceiling «£1» per day"),
        ("P231", "ceiling «1 CHF» per day"),
        ("P234", "ceiling «$0.0000000001» per day"),
        ("P234", 'route m { model "x"  rates «$0.0000001» in, $1 out per 1M tokens }'),
        ("P235", "ceiling «$2000000M» per day"),
        ("P235", "ceiling «2000000M» tokens per day"),
        ("P236", "ceiling «1.5» attempts per outcome"),
        ("P236", "retry «1.5»"),
        ("P236", "limit «0.5» per day"),
        ("P236", "plan p { includes «2.5» draft }"),
        ("P236", "fact x: integer «0.5»..3"),
        ("P236", "fact x: integer = «0.5»"),
        ("P237", "retry «101»"),
        ("P237", "limit «0» per day"),
        ("P237", "ceiling «0» tokens per day"),
        ("P237", "pack p { «0» draft for $1 }"),
        ("P237", 'route m { model "x"  rates $1 in, $2 out per «0» tokens }'),
        ("P238", "ceiling $1 per day alert at «0%»"),
        ("P238", "ceiling $1 per day alert at 50%, «101%»"),
        ("P238", "ceiling «0%» of price per outcome"),
        ("P238", "workflow x { outcome y { price $1  lanes standard  margin at least «100%» } }"),
        ("P239", "limit «1234567890123456» per day"),
        ("P239", "ceiling «1.000000000000001%» of price per outcome"),
        ("P240", "ceiling «$0» per day"),
        ("P240", "ceiling «0s» per outcome"),
        ("P240", "on store failure allow within «$0»"),
        ("P240", "pack p { 1 draft for $1  expires «0d» }"),
        ("P240", "plan p { overage $1 per draft up to «$0» per month }"),
        ("P240", "workflow x { outcome y { price $1  lanes standard  accepted within «0h» } }"),
        ("P252", "ceiling «0.30» per outcome"),
        ("P252", "ceiling «6» per outcome"),
        ("P253", "ceiling 6 «atempts» per outcome"),
        ("P253", "ceiling 6 «requests» per outcome"),
        ("P254", "ceiling «40%» per outcome"),
        ("P255", "ceiling 40% of «ceiling» per outcome"),
        ("P258", "retry 1 «backoff 4s..1s»"),
        ("P235", "retry 1 backoff «40000d»"),
        ("P235", "retry 1 backoff 1s..«40000d»"),
        # places and tails
        ("P241", "«price» $1"),
        ("P241", "«margin» at least 5%"),
        ("P241", "shadow «margin» at least 5%"),
        ("P241", "«outcome» loose { price $1  lanes standard }"),
        ("P241", 'workflow x { «route» y { model "z" } }'),
        ("P241", "plan p { «fallback» next }"),
        ("P241", 'route r { model "z"  «allow» }'),
        ("P241", "pack p { 1 draft for $1  «ceiling» $1 per day }"),
        ("P241", "lane l { mini  «fact» x: text }"),
        ("P241", "plan p { «on store failure» deny }"),
        ("P241", "plan p { «error» some_error }"),
        ("P241", 'plan p { «timezone» "UTC" }'),
        ("P241", "workflow x { «rates» $1 in, $1 out per 1M tokens }"),
        ("P241", "plan p { «expires» 3d }"),
        ("P242", "retry 1 «alert at 50%»"),
        ("P242", "forbid «on timeout»"),
        ("P242", "limit 1 per day «backoff 3s»"),
        ("P259", "«shadow» retry 1"),
        ("P259", "«shadow» fallback next"),
        # blocks
        ("P265", "route «r» { }"),
        ("P265", "route «r» { cost $1 }"),
        ("P265", "lane «l» { }"),
        ("P265", "pack «p» { }"),
        ("P265", "workflow x { outcome «y» { price $1 } }"),
        ("P265", "workflow x { outcome «y» { lanes standard } }"),
        ("P266", "plan p { fee $1 per month  «fee» $1 per month }"),
        ("P266", 'route r { model "a"  «model» "b" }'),
        ("P266", 'route r { tool "a"  cost $1  «cost» $1 }'),
        ("P266", "workflow x { outcome y { price $1  lanes standard  «lanes» standard } }"),
        ("P267", 'route r { model "a"  «tool» "b" }'),
        ("P267", 'route r { handoff "a"  rates $1 in, $1 out per 1M tokens  «model» "b" }'),
        ("P268", 'route r { tool "a"  «rates» $1 in, $1 out per 1M tokens }'),
        ("P268", 'route r { «rates» $1 in, $1 out per 1M tokens  handoff "a" }'),
        ("P269", 'route r { model "a"  cost $1  «rates» $1 in, $1 out per 1M tokens }'),
        ("P270", "lane l { «tier2» -> mini }"),
        ("P271", "lane l { «tier2» }"),
        ("P272", 'route r { model "a"  «limit» 5 per day }'),
        ("P273", 'route r { handoff "a"  «ceiling» $1 per day }'),
        ("P273", 'route r { handoff "a"  «retry» 1 }'),
        ("P218", "plan p { fee $1 per «hour» }"),
        ("P218", "plan p { overage $1 per draft up to $5 per «mnoth» }"),
        # once in a set
        ("P274", "«currency» USD"),
        ("P274", "«currency» EUR"),
        ("P274", 'timezone "UTC"  «timezone» "Europe/Berlin"'),
        ("P274", "on store failure deny  «on store failure» deny"),
        ("P275", 'timezone «"Berlin"»'),
        ("P275", 'timezone «""»'),
        ("P275", 'timezone «"Europe"»'),
        ("P275", 'timezone «"../etc/passwd"»'),
        ("P275", 'timezone «"posix/UTC"»'),
        # facts
        ("P205", "fact x: «sting»"),
        ("P205", "fact x: «somewhat»"),
        ("P208", "fact x: «true» | false"),
        ("P221", "fact x: money «0»..$10"),
        ("P221", "fact x: money $0..«10»"),
        ("P221", "fact x: percent = «0.5»"),
        ("P221", "fact x: duration = «5»"),
        ("P221", "fact x: number = «high»"),
        ("P221", "fact x: boolean = «1»"),
        ("P221", "fact x: boolean = «maybe»"),
        ("P221", "fact x: text = «hello»"),
        ("P221", 'fact x: text = «-"a"»'),
        ("P221", 'fact x: integer = «"three"»'),
        ("P228", "fact x: low < high = «hgih»"),
        ("P228", "fact x: low < high = «3»"),
        ("P280", "fact x: boolean «0..1»"),
        ("P280", 'fact x: text «"a".."b"»'),
        ("P281", "fact x: number «1..0»"),
        ("P281", "fact x: number «1..1.0»"),
        ("P281", "fact x: number «1..1»"),
        ("P282", "fact x: number 0..1 = «2»"),
        ("P282", "fact x: number 0..1 = «-2»"),
        ("P283", "fact x?: number = «2»"),
        ("P284", "fact x: a | b | «a»"),
    ],
)  # fmt: skip
def test_mistake(code: str, text: str) -> None:
    start = text.index("«") + len(HEAD)
    end = text.index("»") - 1 + len(HEAD)
    _, found = compiled(HEAD + text.replace("«", "").replace("»", ""))
    assert [(item.code, item.span.start, item.span.end) for item in found] == [(code, start, end)], found
    assert found[0].hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("ceiling 0.30 per outcome", "write `$0.30`"),
        ("ceiling 6 per outcome", "write `$6`, `6 attempts` or `6 tokens`"),
        ("ceiling 40% per outcome", "write `40% of price`"),
        ("ceiling $1 per monht", "did you mean `month`?"),
        ("ceiling $1 per day per customer", "write `per customer per day`"),
        ("ceiling 1 CHF per day", "write `$1`"),
        ("ceiling 9s", "write `ceiling 9s per outcome`, `per step` or `per attempt`"),
        ("fact x: int", "did you mean `integer`?"),
        ("fact x: string", "did you mean `text`?"),
        ('timezone "Berlin"', 'did you mean `"Europe/Berlin"`?'),
        ('timezone "europe/berlin"', 'did you mean `"Europe/Berlin"`?'),
        ("fact x: number 1..1", "give it two different ends"),
        ("retry 1 on over_ceiling", "use `fallback` for it: the same route would be refused again"),
        ("retry 1 on auth", "leave it out: `auth` does not go away by trying again"),
        ("fallback standard", "choose from `mini`, `tier2`"),
        ("plan p { overage $1 per drfat }", "did you mean `draft`?"),
        ('route r { handoff "a"  retry 1 }', "leave it out"),
    ],
)
def test_hint(text: str, hint: str) -> None:
    assert [item.hint for item in compiled(HEAD + text)[1]] == [hint]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("usd", "did you mean `USD`?"),
        ("EURO", "did you mean `EUR`?"),
        ("dollars", "write its three capital letters, such as `USD`, `EUR`, `CHF`"),
    ],
)
def test_unknown_currency_is_reported_once(code: str, hint: str) -> None:
    (found,) = compiled(f"currency {code}  ceiling $1 per day  ceiling €2 per day")[1]
    assert (found.code, found.span.text, found.hint) == ("P233", code, hint)


def test_missing_currency_is_reported_once_at_the_first_amount() -> None:
    (found,) = compiled("retry 1", "ceiling €1 per day  ceiling $2 per day", "ceiling $3 per day")[1]
    assert (found.code, str(found.span), found.hint) == ("P232", "b.policy:1:9", "begin one file with `currency EUR`")


def test_currency_after_the_amounts_or_misplaced() -> None:
    assert codes("ceiling $1 per day", "currency USD") == []
    assert codes("ceiling $1 per day  plan p { currency USD }") == [("P241", "currency")]


def test_nothing_is_declared() -> None:
    (found,) = compiled("workflow w { outcome o { price 1 CHF lanes x } } currency CHF")[1]
    assert (found.code, found.hint) == ("P209", "no lane is declared")
    (found,) = compiled('workflow w { outcome o { lanes l } } lane l { r } route r { model "m" } currency CHF')[1]
    assert (found.code, found.hint) == ("P265", "write `price 0.99 CHF` in it")


def test_a_declaration_that_clashes_still_serves_its_references() -> None:
    text = 'route x { model "m" } lane x { x } workflow w { outcome o { price $1 lanes x } } currency USD'
    assert codes(text) == [("P202", "x")]

"""What one rule underlines in a little set: the measure of the tables beside this file."""

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.language.source import Source

ROUTES = """
route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
route web { tool "web"  cost $0.02 }
route dear_web { tool "dear web"  cost $0.50 }
route desk { handoff "support desk"  cost $2  limit 9 per day }
"""


def underlined(code: str, text: str) -> list[str]:
    """The first line of each place that the rule `code` underlines, in order."""
    found = lint(subject_of([Source("example.policy", text)]), Choice(select=(code,)))
    return [finding.diagnostic.span.text.partition("\n")[0] for finding in found]


def one_outcome(*, lanes: str, rules: str = "", head: str = "", file: str = "", price: str = "price $1") -> str:
    """A set with `ROUTES`, the given lanes, and one outcome `reply` that lists them all."""
    names = [line.split()[1] for line in lanes.strip().splitlines() if line.strip().startswith("lane ")]
    return f"""
currency USD
{head}
{ROUTES}
{lanes}
{file}
workflow support {{
  outcome reply {{
    {price}
    lanes {", ".join(names)}
    ceiling $0.30 per outcome
    {rules}
  }}
}}
"""

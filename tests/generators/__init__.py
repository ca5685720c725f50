"""Hypothesis strategies: policies as their authors might write them, and facts that tread on their edges."""

from tests.generators.drafts import Block, Draft, loaded
from tests.generators.facts import Asking, Edges
from tests.generators.policies import Case, Shape, extra_rule, policies
from tests.generators.settings import examples

__all__ = ["Asking", "Block", "Case", "Draft", "Edges", "Shape", "examples", "extra_rule", "loaded", "policies"]

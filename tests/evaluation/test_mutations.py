"""The differential test fails for a compiler that is wrong in one token: every mutation of the list is noticed."""

import pytest

from tests.evaluation.differential import DEFAULT_SEED
from tests.evaluation.mutations import MUTATIONS, ROOT, Mutation, survives, tokens

each_mutation = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)


@each_mutation
def test_a_mutation_is_one_token_of_the_compiler(mutation: Mutation) -> None:
    before, after = tokens(mutation.before), tokens(mutation.after)
    assert mutation.applied_to((ROOT / mutation.path).read_text(encoding="utf-8"))
    if len(before) == len(after):
        assert sum(old != new for old, new in zip(before, after, strict=True)) == 1
    else:
        longer, shorter = sorted((before, after), key=len, reverse=True)
        assert any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))


@pytest.mark.slow
@each_mutation
def test_a_mutation_is_noticed(mutation: Mutation) -> None:
    said = survives(mutation, DEFAULT_SEED)
    assert said is None, said

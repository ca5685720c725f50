"""Usages of the real client libraries, read and charged as the catalogue's own extractors and prices do it."""

import datetime as dt
import warnings
from fractions import Fraction
from typing import Any

import pytest
from anthropic.types import CacheCreation, MessageDeltaUsage
from anthropic.types import Usage as MessageUsage
from anthropic.types.beta import BetaUsage
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage
from openai.types.completion_usage import CompletionTokensDetails, PromptTokensDetails
from openai.types.responses.response_usage import (
    InputTokensDetails,
    InputTokensDetailsCacheWriteTokensDetails,
    OutputTokensDetails,
    ResponseUsage,
)
from pydantic import BaseModel

from policy_engine.language.units import Rates
from policy_engine.prices.catalogue import Catalogue
from policy_engine.runtime.usage import Usage, read_usage
from tests.generators.settings import examples

NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
CATALOGUE = Catalogue(NOON.date())


def parts(whole: int, draw: st.DrawFn, count: int) -> list[int]:
    """So many counts that do not come to more than the whole."""
    found: list[int] = []
    for _ in range(count):
        found.append(draw(st.integers(0, whole - sum(found))))
    return found


@st.composite
def chats(draw: st.DrawFn) -> CompletionUsage:
    sent, came = draw(st.integers(0, 300_000)), draw(st.integers(0, 5_000))
    read, written, heard = parts(sent, draw, 3)
    reasoned, spoken, unused = parts(came, draw, 3)
    given = PromptTokensDetails(cached_tokens=read, cache_write_tokens=written, audio_tokens=heard)
    made = CompletionTokensDetails(
        reasoning_tokens=reasoned, audio_tokens=spoken, rejected_prediction_tokens=unused, accepted_prediction_tokens=1
    )
    return CompletionUsage(
        prompt_tokens=sent,
        completion_tokens=came,
        total_tokens=sent + came,
        prompt_tokens_details=draw(st.sampled_from([given, None])),
        completion_tokens_details=draw(st.sampled_from([made, None])),
    )


@st.composite
def responses(draw: st.DrawFn) -> ResponseUsage:
    sent, came = draw(st.integers(0, 300_000)), draw(st.integers(0, 5_000))
    read, written = parts(sent, draw, 2)
    (long,) = parts(written, draw, 1)
    kept = InputTokensDetailsCacheWriteTokensDetails(ttl_12h_tokens=long, ttl_30m_tokens=written - long)
    return ResponseUsage(
        input_tokens=sent,
        output_tokens=came,
        total_tokens=sent + came,
        input_tokens_details=InputTokensDetails(
            cached_tokens=read,
            cache_write_tokens=written,
            cache_write_tokens_details=draw(st.sampled_from([kept, None])),
        ),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=draw(st.integers(0, came))),
    )


@st.composite
def messages(draw: st.DrawFn) -> BaseModel:
    hour, short = draw(st.integers(0, 9_000)), draw(st.integers(0, 9_000))
    made = draw(st.sampled_from([MessageUsage.model_validate, BetaUsage.model_validate]))
    found: BaseModel = made(
        {
            "input_tokens": draw(st.integers(0, 300_000)),
            "output_tokens": draw(st.integers(0, 5_000)),
            "cache_read_input_tokens": draw(st.integers(0, 9_000)),
            "cache_creation_input_tokens": hour + short,
            "cache_creation": {"ephemeral_1h_input_tokens": hour, "ephemeral_5m_input_tokens": short},
            "server_tool_use": draw(st.sampled_from([None, {"web_search_requests": 0, "web_fetch_requests": 1}])),
            "service_tier": "standard",
        }
    )
    return found


def charged(rates: Rates, used: Usage) -> int:
    assert used.input_tokens is not None
    assert used.output_tokens is not None
    return rates.cost_nanos(
        used.input_tokens,
        used.output_tokens,
        cached_read_tokens=used.cached_read_tokens,
        cached_write_tokens=used.cached_write_tokens,
        cached_hour_write_tokens=used.cached_hour_write_tokens,
        media_input_tokens=used.media_input_tokens,
        media_output_tokens=used.media_output_tokens,
    )


@pytest.mark.parametrize(
    ("reference", "flavor", "usages"),
    [
        ("openai:gpt-4o", "chat", chats()),
        ("openai:gpt-audio", "chat", chats()),
        ("openai:gpt-6-sol", "chat", chats()),
        ("openai:gpt-6-sol", "responses", responses()),
        ("azure:gpt-4o-mini", "responses", responses()),
        ("anthropic:claude-sonnet-4-5", "default", messages()),
        ("anthropic:claude-haiku-4-5", "default", messages()),
    ],
)
def test_a_usage_is_charged_as_the_catalogue_reads_and_prices_it(
    reference: str, flavor: str, usages: st.SearchStrategy[BaseModel]
) -> None:
    maker, _, name = reference.partition(":")
    rates = CATALOGUE.entry(reference).rates
    provider = find_provider_by_id(get_snapshot().providers, maker)
    assert provider is not None
    model = provider.find_model(name, all_providers=get_snapshot().providers)
    assert model is not None

    @examples(60)
    @given(usages)
    def holds(usage: BaseModel) -> None:
        dumped = usage.model_dump()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tokens that it has no price for
            _, theirs = provider.extract_usage({"model": name, "usage": dumped}, api_flavor=flavor)
            exact = Fraction(model.calc_price(theirs, provider, genai_request_timestamp=NOON).total_price) * 10**9
        for form in (usage, dumped, usage.model_dump(exclude_none=True), {"usage": dumped}):
            used = read_usage(form)
            cost = charged(rates, used)
            assert exact <= cost
            # What is heard may be what was cached: then the catalogue would ask for more than it was told.
            assert used.media_input_tokens or cost < exact + 1
            assert cost <= rates.worst_nanos(used.input_tokens or 0, used.output_tokens or 0)

    holds()


def test_the_last_word_of_a_stream_of_anthropic() -> None:
    told: Any = MessageDeltaUsage(output_tokens=50)
    assert read_usage(told) == Usage(None, 50)
    told = MessageDeltaUsage(input_tokens=9, output_tokens=50, cache_read_input_tokens=4, cache_creation_input_tokens=2)
    assert read_usage(told) == Usage(15, 50, 4, 2)
    kept = CacheCreation(ephemeral_1h_input_tokens=2, ephemeral_5m_input_tokens=0)
    assert read_usage(MessageUsage(input_tokens=9, output_tokens=1, cache_creation=kept)) == Usage(11, 1, 0, 0, 2)


def test_what_a_client_does_not_know_yet_is_read_too() -> None:
    """Clients keep what a gateway sends beside what they know, and check nothing."""
    sent: Any = {"prompt_tokens": 9, "completion_tokens": 1, "cache_creation_input_tokens": 4}
    assert read_usage(CompletionUsage.construct(**sent)) == Usage(9, 1, 0, 4)
    assert read_usage(CompletionUsage.model_construct(prompt_tokens=9, completion_tokens=1)) == Usage(9, 1)
    more: Any = {"input_tokens": 9, "output_tokens": 1, "iterations": [{"type": "compaction", "input_tokens": 5}]}
    assert read_usage(MessageUsage.construct(**more)) == Usage()
    more["iterations"][0]["output_tokens"] = 2
    assert read_usage(MessageUsage.construct(**more)) == Usage(14, 3)
    more["iterations"] = 7  # of no shape that anybody knows
    assert read_usage(MessageUsage.construct(**more)) == Usage(9, 1)

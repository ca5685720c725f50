"""The upper bound of input tokens: never below what is billed, unknown where nobody can say."""

import json
import subprocess
import sys
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.adapters.inputs import PER_REQUEST, PER_TOOLING, input_bound
from tests.generators.settings import examples


class Verdict(pydantic.BaseModel):
    good: bool


TEXT = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"image": {}}}}


@pytest.mark.parametrize(
    "request_",
    [
        {"input": "hi"},
        {"input": [TEXT], "instructions": "be kind"},
        {"messages": [TEXT], "tools": [TOOL], "response_format": {"type": "json_schema", "json_schema": {}}},
        {"messages": [TEXT], "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "name": "n", "input": {"type": "image"}}]}
            ]
        },
        {
            "input": [{"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "gAAA"}],
            "text_format": Verdict,
        },
        {"input": [{"type": "message", "id": "m", "role": "assistant", "content": []}], "extra_body": {"top_k": 2}},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "n"}}]}
            ]
        },
        {"input": [{"type": "function_call", "id": "f", "call_id": "c", "name": "look", "arguments": "{}"}]},
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}]},
        {"input": "hi", "model": "m", "timeout": object(), "extra_headers": {"type": "image"}},
    ],
)
def test_texts_are_bounded(request_: dict[str, Any]) -> None:
    bound = input_bound(request_)
    assert bound.tokens is not None, bound.why


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"input": "x", "previous_response_id": "r"}, "`previous_response_id` stands for text"),
        ({"input": "x", "conversation": {"id": "c"}}, "`conversation` stands for text"),
        ({"input": "x", "prompt": {"id": "p"}}, "`prompt` stands for text"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "the tool `web_search` reads"),
        ({"messages": [TEXT], "tools": [{"type": "code_execution_20250825", "name": "x"}]}, "the tool `code_execution"),
        ({"messages": [TEXT], "mcp_servers": []}, "`mcp_servers` stands for text"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "type `image_url`"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "type `input_file`"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, "type `document`"),
        ({"input": [{"type": "item_reference", "id": "i"}]}, "type `item_reference`"),
        ({"input": [{"id": "i"}]}, "stands for one the provider keeps (`i`)"),
        ({"input": [{"type": "reasoning", "id": "rs", "summary": []}]}, "`reasoning` whose text the provider keeps"),
        ({"messages": [TEXT], "web_search_options": {}}, "`web_search_options` stands for text"),
        ({"input": "x", "extra_body": {"conversation": "c"}}, "`conversation` stands for text"),
        ({"input": object()}, "`input` holds a `object`"),
    ],
)
def test_what_is_no_text_is_unknown(request_: dict[str, Any], why: str) -> None:
    bound = input_bound(request_)
    assert bound.tokens is None
    assert why in bound.why


@given(st.lists(st.text(), max_size=5), st.booleans())
@examples(200)
def test_no_tokenizer_can_find_more(texts: list[str], tools: bool) -> None:
    """A token is a byte at least, and a message has at most twelve tokens around its text."""
    messages = [{"role": "user", "content": text} for text in texts]
    bound = input_bound({"messages": messages} | ({"tools": [TOOL]} if tools else {}))
    assert bound.tokens is not None
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    tooling = len(json.dumps(TOOL)) + PER_TOOLING if tools else 0
    assert bound.tokens >= size + 12 * len(texts) + PER_REQUEST + tooling


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_without_the_extra(name: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None; import policy_engine.adapters.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    expected = (
        f"ImportError: `policy_engine.adapters.{name}` needs the extra `{name}`: pip install 'policy_engine[{name}]'"
    )
    assert expected in done.stderr


@pytest.mark.slow
def test_the_package_does_not_import_them() -> None:
    code = "import sys, policy_engine.cli, policy_engine.runtime.engine; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("openai", "anthropic", "opentelemetry"):
        assert f"'{name}'" not in done.stdout

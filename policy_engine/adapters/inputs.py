"""How many input tokens a request can be at most, from the request alone.

Every token of a text stands for at least one of its bytes, so the bytes of what is sent, as JSON, bound its tokens: the
JSON around a message is longer than what a provider puts around it. Two allowances are added for what a provider adds
by itself: `PER_REQUEST` always, `PER_TOOLING` where there are tools or a schema for the answer. That is about four
times what English text comes to, and never less than what is billed. Whoever wants to be closer gives the number, or a
function that counts.

What is not text in the request cannot be bounded this way: images, files and audio, conversations that the provider
keeps, tools that it runs by itself. Their input tokens are unknown, and the policy decides what that means: an attempt
on a route that is priced by tokens is refused.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from policy_engine.adapters.requests import body

PER_REQUEST = 64
PER_TOOLING = 1024

TOOLING = frozenset(
    "tools functions tool_choice response_format text text_format parse_as output_format output_config".split()
)
KEPT_ELSEWHERE = frozenset(
    "previous_response_id conversation prompt mcp_servers container context_management web_search_options".split()
)
NO_INPUT = frozenset(
    """model stream stream_options timeout extra_headers extra_query max_tokens max_output_tokens max_completion_tokens
    metadata user safety_identifier prompt_cache_key service_tier store""".split()
)
SPOKEN = frozenset("messages input system instructions".split())
TEXTS = frozenset(
    """text input_text output_text refusal message summary_text reasoning reasoning_text thinking redacted_thinking
    tool_use tool_result function function_call function_call_output custom custom_tool_call custom_tool_call_output
    search_result""".split()
)
"""Types of what stands in a conversation and is text."""

VERBATIM = frozenset(("arguments", "input", "cache_control", "citations", "caller", "annotations", "logprobs"))
"""Entries inside a conversation whose own entries mean nothing to a provider."""

REFERENCE = frozenset(("id", "type", "status"))
"""All that an item says which stands for one that the provider keeps."""

OWN_TOOLS = frozenset((None, "function", "custom"))


class Bound(NamedTuple):
    """At most so many tokens; None if nobody can say, and then `why`."""

    tokens: int | None
    why: str = ""


def input_bound(request: Mapping[str, Any]) -> Bound:
    """The most input tokens that a request of OpenAI or Anthropic can be."""
    sent = {name: plain(value) for name, value in body(request).items() if name not in NO_INPUT}
    sent = {name: value for name, value in sent.items() if value is not None}
    strange = next(_strange(sent), None)
    if strange is not None:
        return Bound(None, strange)
    size = len(json.dumps(sent, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return Bound(size + PER_REQUEST + (PER_TOOLING if TOOLING & set(sent) else 0))


def plain(value: Any) -> Any:
    """A value of a request as what JSON knows; what it does not know stays as it is."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if type(value).__name__ in ("NotGiven", "Omit"):
        return None
    if isinstance(value, type):
        schema = getattr(value, "model_json_schema", None)
        return schema() if schema is not None else value
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return plain(dump(mode="json", warnings=False))
    return [plain(item) for item in value] if isinstance(value, Iterable) else value


def _strange(sent: Mapping[str, Any]) -> Iterator[str]:
    """What of a request cannot be bounded by its bytes."""
    yield from (f"`{name}` stands for text that is not in the request" for name in sent if name in KEPT_ELSEWHERE)
    for tool in sent.get("tools") or ():
        kind = tool.get("type") if isinstance(tool, Mapping) else tool
        if kind not in OWN_TOOLS:
            yield f"what the tool `{kind}` reads is not in the request"
    for name, value in sent.items():
        yield from _no_text(value, name, spoken=name in SPOKEN)


def _no_text(value: Any, where: str, *, spoken: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        kind = value.get("type")
        if spoken and kind is not None and kind not in TEXTS:
            yield f"`{where}` holds a part of type `{kind}`"
        elif spoken and kind == "reasoning" and not (value.get("encrypted_content") or value.get("content")):
            yield f"`{where}` holds a `reasoning` whose text the provider keeps, as no `encrypted_content` was included"
        elif spoken and "id" in value and REFERENCE.issuperset(name for name in value if value[name] is not None):
            yield f"`{where}` holds an item that stands for one the provider keeps (`{value['id']}`)"
        for name, item in value.items():
            yield from _no_text(item, where, spoken=spoken and name not in VERBATIM)
    elif isinstance(value, list):
        for item in value:
            yield from _no_text(item, where, spoken=spoken)
    elif not (isinstance(value, str | int | float | bool) or value is None):
        yield f"`{where}` holds a `{type(value).__name__}`"

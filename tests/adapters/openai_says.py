"""What OpenAI answers, as JSON."""

from typing import Any

USAGE = {
    "input_tokens": 100,
    "output_tokens": 50,
    "total_tokens": 150,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 10},
}
CHAT_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 40},
}


def response(text: str = "hello", *, usage: Any = USAGE, **changed: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": content}
    return {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "small-2026",
        "output": [message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
        "error": None,
        "incomplete_details": None,
    } | changed


def failed_response(code: str) -> dict[str, Any]:
    return response(status="failed", error={"code": code, "message": "no"}, output=[])


def response_events(*texts: str, end: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    begun = response(status="in_progress", usage=None, output=[])
    said = [
        {
            "type": "response.output_text.delta",
            "delta": text,
            "item_id": "m",
            "output_index": 0,
            "content_index": 0,
            "sequence_number": number,
            "logprobs": [],
        }
        for number, text in enumerate(texts, 2)
    ]
    whole = end if end is not None else {"type": "response.completed", "response": response("".join(texts))}
    return [
        {"type": "response.created", "response": begun, "sequence_number": 0},
        {"type": "response.in_progress", "response": begun, "sequence_number": 1},
        *said,
        {**whole, "sequence_number": 99},
    ]


def completion(text: str = "hello", *, finish: str = "stop", usage: Any = CHAT_USAGE) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "small-2026",
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
        "usage": usage,
    }


def chunk(text: str | None = None, *, finish: str | None = None, **changed: Any) -> dict[str, Any]:
    delta = {"role": "assistant", "content": ""} if text is None else {"content": text}
    choice = {"index": 0, "delta": {} if finish else delta, "finish_reason": finish}
    made = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "small", "choices": [choice]}
    return made | changed


def chunks(*texts: str, finish: str = "stop", usage: bool = True) -> list[Any]:
    told = [chunk(choices=[], usage=CHAT_USAGE)] if usage else []
    return [chunk(), *(chunk(text) for text in texts), chunk(finish=finish), *told, "[DONE]"]

"""The shape of a test file, as pydantic models; what does not fit is said with its place.

The models say which keys there are and of what kind their values. What the values mean
depends on the policy and is looked at in `checking.py`.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Span
from policy_engine.testing import mistakes
from policy_engine.testing.nodes import Node

POINTS = ("admit", "attempt", "progress", "failure", "settle")
F = TypeVar("F", bound=BaseModel)


def _misfit(message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("misfit", "{message}", {"message": message, "hint": hint})


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _misfit("a text belongs here", "put it in quotes")
    return " ".join(value.split())


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in (value if isinstance(value, list) else [value]))


def _mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        raise _misfit("entries belong here", "write `name: value`")
    return value


def _list(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise _misfit("a list belongs here", "begin each item with `-`")
    return value


def _facts(value: Any) -> Any:
    if not isinstance(value, str | dict):
        raise _misfit("facts belong here", "write `name: value`, or the name of a fixture")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Mapping_ = Annotated[Any, BeforeValidator(_mapping)]
Listed = Annotated[Any, BeforeValidator(_list)]
Facts = Annotated[Any, BeforeValidator(_facts)]


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class FileForm(Form):
    """A whole file. `policy` are paths relative to it."""

    policy: Texts = ()
    fixtures: Mapping_ = {}
    decisions: Listed = ()
    scenarios: Listed = ()


class DecisionForm(Form):
    """One decision, or a table of them: a point with its facts, and what is expected."""

    case: Text
    admit: Facts = None
    attempt: Facts = None
    progress: Facts = None
    failure: Facts = None
    settle: Facts = None
    counters: Literal["zero", "unknown"] = "zero"
    expect: Any = None
    table: Listed = ()


class ScenarioForm(Form):
    """A story: what happens, in order, to one execution or several. `start` is where the clock stands first."""

    case: Text
    start: Text = ""
    timeline: Listed


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _misfit("a whole number belongs here", "write it without a sign, a point or a unit")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]


class AskForm(Form):
    """What an attempt is expected to need."""

    input_tokens: Whole = None  # type: ignore[assignment]  # not given
    max_output_tokens: Whole = None  # type: ignore[assignment]  # not given
    min_output_tokens: Whole = None  # type: ignore[assignment]  # not given
    estimate: Any = None


class UseForm(Form):
    """What an attempt did use: its cost, or its tokens, or neither (then what was reserved)."""

    input_tokens: Whole = None  # type: ignore[assignment]  # not given
    output_tokens: Whole = None  # type: ignore[assignment]  # not given
    cost: Any = None
    error: Text = ""


class ProgressForm(Form):
    """How far an attempt has come."""

    output_tokens: Whole


class TopUpForm(Form):
    """A pack that a customer buys."""

    pack: Text
    customer: Text = ""


WHERE: dict[type[BaseModel], str] = {
    FileForm: "a test file",
    DecisionForm: "a decision",
    ScenarioForm: "a scenario",
    AskForm: "`attempt`",
    UseForm: "what an attempt used",
    ProgressForm: "`progress`",
    TopUpForm: "`top_up`",
}
EXAMPLES = {
    "case": "case: what it shows",
    "timeline": "timeline:",
    "output_tokens": "output_tokens: 200",
    "pack": "pack: NAME",
}


def shape(form: type[F], node: Node, found: list[Diagnostic]) -> F | None:
    """A node in a form, or None and what does not fit."""
    where = WHERE[form]
    if not isinstance(node.value, dict):
        found.append(
            mistakes.wrong_shape(node.span, f"{where} is written as `key: value`", "write its keys, each with a colon")
        )
        return None
    try:
        return form.model_validate(node.plain())
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            path = tuple(part for part in item["loc"])
            place = node.at(path)
            if item["type"] == "extra_forbidden":
                found.append(mistakes.no_key(str(path[-1]), place.named, form.model_fields, where))
            elif item["type"] == "missing":
                name = str(path[-1])
                found.append(mistakes.key_missing(name, _head(node), where, EXAMPLES.get(name, f"{name}: …")))
            else:
                hint = item.get("ctx", {}).get("hint", "see the documentation of policy tests")
                words = item["msg"][:1].lower() + item["msg"][1:].replace("'", "`")
                found.append(mistakes.wrong_shape(place.span, f"`{path[0]}`: {words}", hint))
        return None


def _head(node: Node) -> Span:
    """The first key of a mapping: enough to show which one is meant."""
    first = next(iter(node.value.values()), None) if isinstance(node.value, dict) else None
    return first.named if first is not None else node.span

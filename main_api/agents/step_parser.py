"""Understand a ReAct step however a model wrote it: JSON, fenced or not, Thought/Action lines, a tag, or an answer.

This is the last resort for models that can neither call tools nor be constrained, and for the text of those that
were constrained and cut short. It never raises and never runs anything; what is no step is taken for the answer.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from main_api.agents.leniency import folded_name, repaired_json
from shared.tools_contract import JsonObject

FINISH = "finish"

_FINISH_WORDS = frozenset({"finish", "finalanswer", "answer", "final", "done", "none"})
_ACTION_KEYS = ("action", "tool", "tool_name", "name", "function")
_INPUT_KEYS = ("action_input", "actionInput", "input", "arguments", "args", "parameters", "tool_input")
_ANSWER_KEYS = ("answer", "final_answer", "output", "result", "response", "text", "content", "input")
_LONGEST = 200_000

_THINKING = re.compile(r"<think(?:ing)?>(.*?)</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|\Z)", re.DOTALL)
_FENCE = re.compile(r"```(?:json|tool_code|tool_call|[a-z]*)?[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL | re.IGNORECASE)
_LABEL = re.compile(
    r"^[ \t>*#_-]*(thought|action[ _]?input|action|observation|final[ _]?answer)[ \t]*[*_]*[ \t]*:[ \t]*[*_]*[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step as understood: either a call (`action` with `action_input`) or an `answer`."""

    thought: str = ""
    action: str | None = None
    action_input: Any = None
    answer: str | None = None


def parse_step(text: str, tools: Collection[str]) -> Step:
    """Read a step; `tools` are the names (and aliases) that a JSON object without our keys may call."""
    text = text[:_LONGEST]
    thoughts = "\n".join(part.strip() for part in _THINKING.findall(text))
    bare = _THINKING.sub("", text).strip()
    step = _from_tag(bare, tools) or _from_labels(bare) or _from_json(bare, tools) or Step(answer=bare)
    if not thoughts:
        return step
    thought = "\n".join(part for part in (thoughts, step.thought) if part)
    return Step(thought=thought, action=step.action, action_input=step.action_input, answer=step.answer)


def tagged_calls(text: str, tools: Collection[str]) -> list[tuple[str, str]]:
    """Return the calls (name, arguments as JSON) of a text that is nothing but calls of known tools, else none."""
    bare = _unfenced(_THINKING.sub("", text[:_LONGEST]).strip())
    if not bare.startswith(("<tool_call>", "{")):
        return []
    bodies = _TAG.findall(bare) if bare.startswith("<") else [bare]
    calls: list[tuple[str, str]] = []
    for body in bodies:
        step = _step_from_object(_strict_object(body), tools)
        if step is None or step.action is None or folded_name(step.action) not in _all_folded(tools):
            return []
        calls.append((step.action, json.dumps(step.action_input if step.action_input is not None else {})))
    return calls


def _from_tag(text: str, tools: Collection[str]) -> Step | None:
    found = _TAG.search(text)
    if not found:
        return None
    step = _step_from_object(_lenient_object(found.group(1)), tools)
    if step is None:
        return None
    thought = text[: found.start()].strip()
    return Step(thought=thought or step.thought, action=step.action, action_input=step.action_input, answer=step.answer)


def _from_labels(text: str) -> Step | None:
    """Read `Thought:`, `Action:`, `Action Input:` and `Final Answer:` lines, up to an observation the model made up."""
    fields: dict[str, str] = {}
    found = list(_LABEL.finditer(text))
    for index, match in enumerate(found):
        label = re.sub(r"[ _]", "", match.group(1).casefold())
        end = found[index + 1].start() if index + 1 < len(found) else len(text)
        if label == "observation":
            break
        if label == "finalanswer":
            end = next((later.start() for later in found[index + 1 :] if _is_observation(later)), len(text))
            fields[label] = text[match.end() : end].strip()
            break
        if label in fields:
            break  # a second step that the model imagined
        fields[label] = text[match.end() : end].strip()
    thought = fields.get("thought") or (text[: found[0].start()].strip() if found else "")
    if fields.get("action"):
        return _labelled_call(fields, thought)
    if "finalanswer" in fields:
        return Step(thought=thought, answer=fields["finalanswer"])
    return None


def _labelled_call(fields: dict[str, str], thought: str) -> Step:
    action, _, rest = fields["action"].partition("\n")
    written = fields.get("actioninput", rest.strip())
    name, call, inside = action.strip().strip("`'\"*[]").partition("(")
    if call and not written:  # Action: calculator("12 * 7")
        written = inside.rpartition(")")[0].strip().strip("'\"")
    value = _input_value(written)
    if folded_name(name) in _FINISH_WORDS:
        return Step(thought=thought, answer=_answer_of(value))
    return Step(thought=thought, action=name.strip().strip("`'\"*"), action_input=value)


def _from_json(text: str, tools: Collection[str]) -> Step | None:
    """Read the first JSON object of the text; what stands before it is thought, what follows is ignored."""
    for candidate, before in _candidates(text):
        step = _step_from_object(_lenient_object(candidate), tools)
        if step is not None:
            thought = step.thought or before.strip()
            return Step(thought=thought, action=step.action, action_input=step.action_input, answer=step.answer)
    return None


def _candidates(text: str) -> list[tuple[str, str]]:
    candidates = [(match.group(1), text[: match.start()]) for match in _FENCE.finditer(text)]
    start = text.find("{")
    if start >= 0:
        candidates.append((text[start:], text[:start].removesuffix("```json\n").rstrip("`")))
    return [(body, before) for body, before in candidates if body.lstrip().startswith("{")]


def _step_from_object(value: JsonObject | None, tools: Collection[str]) -> Step | None:
    if not value:
        return None
    thought = value.get("thought") or value.get("reasoning")
    thought = thought if isinstance(thought, str) else ""
    action_key = next((key for key in _ACTION_KEYS if key in value), None)
    if action_key is None:
        return _step_without_action(value, thought)
    action = value[action_key]
    if isinstance(action, dict):  # {"function": {"name": …, "arguments": …}}
        return _step_from_object(cast("JsonObject", action), tools)
    return _step_with_action(value, thought, action_key, tools)


def _step_without_action(value: JsonObject, thought: str) -> Step | None:
    answer = value.get("final_answer", value.get("answer")) if thought or len(value) == 1 else None
    return Step(thought=thought, answer=_as_text(answer)) if answer is not None else None


def _step_with_action(value: JsonObject, thought: str, action_key: str, tools: Collection[str]) -> Step | None:
    action = value[action_key]
    if not isinstance(action, str):
        return None
    given = next((value[key] for key in _INPUT_KEYS if key in value), None)
    if folded_name(action) in _FINISH_WORDS and action_key != "name":
        return Step(thought=thought, answer=_answer_of(given if given is not None else value))
    ours = action_key == "action" or (thought and given is not None)
    if not ours and folded_name(action) not in _all_folded(tools):
        return None  # somebody's own JSON, which is an answer
    return Step(thought=thought, action=action, action_input=_input_value(given))


def _input_value(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    text = _unfenced(given.strip())
    if text.startswith("{"):
        return _lenient_object(text) or text
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`" and "\n" not in text:
        return text[1:-1]
    return text


def _answer_of(value: Any) -> str:
    if isinstance(value, dict):
        fields = cast("JsonObject", value)
        key = next((key for key in _ANSWER_KEYS if key in fields), None)
        return _as_text(fields[key]) if key else json.dumps(fields, ensure_ascii=False)
    return _as_text(value)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _unfenced(text: str) -> str:
    found = _FENCE.fullmatch(text)
    return found.group(1).strip() if found else text


def _strict_object(text: str) -> JsonObject | None:
    try:
        value = json.loads(_unfenced(text.strip()))
    except (json.JSONDecodeError, RecursionError):
        return None
    return cast("JsonObject", value) if isinstance(value, dict) else None


def _lenient_object(text: str) -> JsonObject | None:
    """Read the first object of a text; if it is broken, repair it. Trailing text is ignored."""
    text = text.strip()
    value: Any = None
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (json.JSONDecodeError, RecursionError):
        value = repaired_json(text)
    found: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    objects = [cast("JsonObject", item) for item in found if isinstance(item, dict)]
    return objects[0] if objects else None


def _is_observation(match: re.Match[str]) -> bool:
    return match.group(1).casefold().startswith("observation")


def _all_folded(names: Collection[str]) -> frozenset[str]:
    return frozenset(map(folded_name, names))

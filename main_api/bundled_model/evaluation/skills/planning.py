"""Plans of several steps, and the choice of who answers."""

from collections.abc import Mapping
from typing import Any, Final, cast

from main_api.agents.step_schema import response_format
from main_api.bundled_model.evaluation.asking import LONG_ANSWER, Asker, system, user
from main_api.bundled_model.evaluation.judgement import Judgement, shown
from main_api.bundled_model.evaluation.offered import KNOWN_TOOLS
from main_api.bundled_model.evaluation.scoring import read_object, same_text
from main_api.bundled_model.evaluation.sets import PlanItem, RouterItem
from shared.tools_contract import JsonObject

_AGENTS: Final = ("chat", "react", "plan_execute")


async def plans(asker: Asker, item: PlanItem) -> list[Judgement]:
    """Judge tools in order, dependencies, and the words that each step takes from the request."""
    tools = [{"name": tool.name, "description": tool.description} for tool in KNOWN_TOOLS]
    messages = [system(asker.prompts.render("small/plan", tools=tools)), user(item.request)]
    shape = response_format(_plan_schema())
    reply = await asker.chat(messages, temperature=0, max_tokens=LONG_ANSWER, response_format=shape)
    steps = _steps(reply.text)
    wanted = shown([step.model_dump(exclude_defaults=True) for step in item.steps])
    in_order = [step.get("tool") for step in steps] == [step.tool for step in item.steps]
    needs = in_order and [step.get("needs") for step in steps] == [step.needs for step in item.steps]
    copied = bool(steps) and all(_is_copied(step.get("input"), item.request) for step in steps)
    figures = {
        f"right tools in order, {len(item.steps)} parts": in_order,
        "right tools in order, all": in_order,
        "right tools in order and right dependencies": needs,
        "every input copied from the request": copied,
    }
    if any(step.input for step in item.steps):
        figures["inputs exact where given"] = in_order and _inputs_fit(steps, item)
    return [Judgement(figure, counts, item.request, wanted, reply.text) for figure, counts in figures.items()]


async def router(asker: Asker, item: RouterItem) -> list[Judgement]:
    """Judge the agent alone; the reason is the model's own affair."""
    shape = response_format(_router_schema())
    reply = await asker.instructed("small/router", item.request, response_format=shape)
    right = (read_object(reply.text) or {}).get("agent") == item.agent
    return [
        Judgement(figure, right, item.request, item.agent, reply.text)
        for figure in ("right agent", f"{item.agent}: right agent")
    ]


def _steps(text: str) -> list[Mapping[str, Any]]:
    steps: Any = (read_object(text) or {}).get("steps")
    return cast("list[Mapping[str, Any]]", steps) if isinstance(steps, list) else []


def _inputs_fit(steps: list[Mapping[str, Any]], item: PlanItem) -> bool:
    return all(
        not wanted.input or any(same_text(str(step.get("input")), words) for words in wanted.input)
        for step, wanted in zip(steps, item.steps, strict=True)
    )


def _is_copied(words: object, request: str) -> bool:
    return isinstance(words, str) and bool(words.strip()) and words.casefold().strip() in request.casefold()


def _plan_schema() -> JsonObject:
    step: JsonObject = {
        "type": "object",
        "properties": {
            "tool": {"enum": [tool.name for tool in KNOWN_TOOLS]},
            "input": {"type": "string"},
            "needs": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["tool", "input", "needs"],
        "additionalProperties": False,
    }
    return _object({"steps": {"type": "array", "items": step, "minItems": 1}})


def _router_schema() -> JsonObject:
    return _object({"reason": {"type": "string"}, "agent": {"enum": list(_AGENTS)}})


def _object(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }

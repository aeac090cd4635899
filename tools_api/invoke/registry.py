"""The tools that this process offers, by name and by alias."""

from collections.abc import Iterable
from dataclasses import dataclass

from jsonschema import Draft202012Validator

from shared.errors import NotFound
from shared.tools_contract import ToolDefinition
from tools_api.invoke.arguments import compile_schema
from tools_api.invoke.tool import Tool


@dataclass(frozen=True, slots=True)
class RegisteredTool:
    """A tool and the compiled schema of its arguments."""

    tool: Tool
    validator: Draft202012Validator


class ToolRegistry:
    """Made once at start. Raises `ValueError` for two tools of one name, and for a schema that is none."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, RegisteredTool] = {}
        self._by_any_name: dict[str, RegisteredTool] = {}
        for tool in tools:
            definition = tool.definition
            registered = RegisteredTool(tool, compile_schema(definition.parameters))
            self._tools[definition.name] = registered
            for name in (definition.name, *definition.aliases):
                if name in self._by_any_name:
                    raise ValueError(f"two tools are called {name!r}")
                self._by_any_name[name] = registered

    def definitions(self) -> tuple[ToolDefinition, ...]:
        """Return what all tools say of themselves now, in the order of registration."""
        return tuple(registered.tool.definition for registered in self._tools.values())

    def find(self, name: str) -> RegisteredTool:
        """Return the tool of this name or alias. Raises `NotFound`."""
        if (registered := self._by_any_name.get(name)) is None:
            raise NotFound(f"There is no tool {name[:64]!r}; there are: {', '.join(self._tools)}.", param="name")
        return registered

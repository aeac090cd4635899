"""What an agent is: the task it is given, the budget it may spend, and the Protocol that the chat service sees."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from main_api.backends.protocol import ChatModel, Message
from main_api.events import Event
from main_api.toolbox.protocol import Toolbox
from shared.tools_contract import ToolDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one run may spend. `steps` are model turns, `tokens` all tokens that the backend counts (None: no limit).

    `final_turn_s` comes on top of `seconds`: a run whose time is up still gets that long for one last answer.
    """

    steps: int = 10
    tool_calls: int = 50
    tokens: int | None = None
    seconds: float = 600.0
    final_turn_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run. `messages` and `options` are OpenAI's objects as the caller gave them.

    `toolbox` None means that the tools API cannot be reached; `tools` are those that this run may use, and no others.
    `workspace` is the folder that tool calls share. `budget` replaces the agent's own for this run.
    """

    messages: Sequence[Message]
    model: ChatModel
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    toolbox: Toolbox | None = None
    tools: tuple[ToolDefinition, ...] = ()
    workspace: str | None = None
    budget: Budget | None = None


class Agent(Protocol):
    """A way to answer. Agents hold no state of a run, so one instance serves all of them at once."""

    def run(self, task: Task) -> AsyncIterator[Event]:
        """Answer the task. Every choice ends with `ChoiceFinished`, the run with one `RunFinished`.

        Closing the iterator cancels the model and the tools. Raises the tree of `shared.errors`.
        """
        ...

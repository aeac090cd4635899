"""Which agents there are. To add one, write a class with `run` and give it an entry in `create_agents`."""

from collections.abc import Mapping

from main_api.agents.chat import ChatAgent
from main_api.agents.prompts import PromptLibrary
from main_api.agents.protocol import Agent
from main_api.agents.react import ReactAgent, ReactOptions
from shared.errors import InvalidRequest

PLANNED = frozenset({"plan_execute", "auto"})
"""Agents of the documents that this version does not have. They are refused by name, never replaced by another."""


class AgentRegistry:
    """The agents by their `agent_type`."""

    def __init__(self, agents: Mapping[str, Agent]) -> None:
        self._agents = dict(agents)

    def get(self, agent_type: str) -> Agent:
        """Return the agent. Raises `InvalidRequest` that names those that exist."""
        agent = self._agents.get(agent_type)
        if agent is not None:
            return agent
        problem = "is not available in this version" if agent_type in PLANNED else "does not exist"
        message = f"agent_type {agent_type[:80]!r} {problem}; use one of: {', '.join(self._agents)}."
        raise InvalidRequest(message, param="agent_type")


def create_agents(prompts: PromptLibrary, options: ReactOptions) -> AgentRegistry:
    """Make every agent; they share the prompts and the budget of `options`."""
    return AgentRegistry({"chat": ChatAgent(options.budget), "react": ReactAgent(prompts, options)})

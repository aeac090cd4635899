"""Accept a call: who may ask what, which agent and model answer, what is kept. The answer is the run's affair."""

from dataclasses import dataclass, replace
from functools import partial

from main_api.agents.protocol import Task
from main_api.agents.registry import AgentRegistry
from main_api.auth.principal import Principal
from main_api.backends.resolved import ResolvedModel
from main_api.backends.router import ModelRouter
from main_api.chat.accounting import Accounting
from main_api.chat.call import ChatCall
from main_api.chat.conversation import Conversation
from main_api.chat.relay import RelayRun
from main_api.chat.run import ChatRun
from main_api.chat.titles import Titles
from main_api.sessions.service import SessionService
from main_api.toolbox.artifacts import Artifacts
from main_api.toolbox.protocol import Toolbox, Toolboxes
from main_api.usage.service import UsageRecorder
from shared.errors import InvalidRequest, PermissionDenied, Unavailable
from shared.tools_contract import ToolDefinition

_WITHOUT_TOOLS = "chat"
_WITH_TOOLS = "react"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParts:
    """What the service puts together; made once by the composition root."""

    router: ModelRouter
    agents: AgentRegistry
    toolbox: Toolboxes
    sessions: SessionService
    titles: Titles
    artifacts: Artifacts
    usage: UsageRecorder
    max_history: int
    default_temperature: float | None = None


class ChatService:
    """Opens runs."""

    def __init__(self, parts: ChatParts) -> None:
        self._parts = parts

    async def open(self, call: ChatCall, principal: Principal) -> ChatRun | RelayRun:
        """Check a call and return its run, not yet begun.

        Raises `InvalidRequest` for what contradicts itself or nobody knows, `PermissionDenied` for what the
        credential does not allow, `NotFound` for an unknown model, `Unavailable`.
        """
        if self._parts.default_temperature is not None and "temperature" not in call.options:
            call = replace(call, options={**call.options, "temperature": self._parts.default_temperature})
        agent_type = _agent_type(call)
        agent = self._parts.agents.get(agent_type)
        _check_rights(call, principal, agent_type)
        kept = _is_kept(call, principal)
        model = await self._parts.router.resolve(call.model)
        accounting = Accounting(self._parts.usage, principal, model=model.name, agent=agent_type)
        if agent_type == _WITHOUT_TOOLS and not kept and model.can_relay and not _needs_events(call, model):
            return RelayRun(call, model=model, accounting=accounting)
        return ChatRun(
            agent=agent,
            task=await self._task(call, model, principal, with_tools=agent_type != _WITHOUT_TOOLS),
            accounting=accounting,
            conversation=self._conversation(call, principal) if kept else None,
            claim=partial(self._parts.artifacts.claim, principal.user_id),
        )

    async def _task(self, call: ChatCall, model: ResolvedModel, principal: Principal, *, with_tools: bool) -> Task:
        toolbox, tools = (await self._tools(call, principal)) if with_tools else (None, ())
        return Task(messages=call.messages, model=model, options=call.options, toolbox=toolbox, tools=tools)

    async def _tools(self, call: ChatCall, principal: Principal) -> tuple[Toolbox | None, tuple[ToolDefinition, ...]]:
        try:
            definitions = await self._parts.toolbox.definitions(call.server_tools)
        except Unavailable:  # the chat goes on without tools, and the agent says so
            return None, ()
        return self._parts.toolbox.of_person(principal.person), tuple(definitions)

    def _conversation(self, call: ChatCall, principal: Principal) -> Conversation:
        return Conversation(
            self._parts.sessions,
            titles=self._parts.titles,
            user_id=principal.user_id,
            session_id=call.session_id,
            max_messages=self._parts.max_history,
        )


def _needs_events(call: ChatCall, model: ResolvedModel) -> bool:
    """Say whether an answer must be read: the calls of a small model may be a loop."""
    return bool(call.options.get("tools")) and model.capabilities.tool_prompt == "signature"


def _agent_type(call: ChatCall) -> str:
    agent_type = call.agent_type
    if agent_type is None:
        agent_type = _WITH_TOOLS if call.server_tools else _WITHOUT_TOOLS
    if agent_type != _WITHOUT_TOOLS and "tools" in call.options:
        raise InvalidRequest(
            "`tools` as a list are the client's own and go with agent_type chat; "
            "name server-side tools in `available_tools` for an agent.",
            param="tools",
        )
    if agent_type != _WITHOUT_TOOLS and call.options.get("n", 1) != 1:
        raise InvalidRequest("An agent gives one answer; leave `n` out or use agent_type chat.", param="n")
    return agent_type


def _check_rights(call: ChatCall, principal: Principal, agent_type: str) -> None:
    if principal.credential == "service" and agent_type != _WITHOUT_TOOLS:
        raise PermissionDenied("The service key may ask for plain completions only: an agent could call its caller.")
    if agent_type != _WITHOUT_TOOLS and "tools" not in principal.scopes:
        raise PermissionDenied("This API key lacks the scope `tools` that agents need.")
    if (call.session_id is not None or call.store) and "sessions" not in principal.scopes:
        raise PermissionDenied("This API key lacks the scope `sessions` that `session_id` and `store` need.")


def _is_kept(call: ChatCall, principal: Principal) -> bool:
    if principal.credential == "service":
        if call.store or call.session_id:
            raise PermissionDenied("The service key keeps no sessions.")
        return False
    if call.session_id is not None or call.store:
        return True
    return principal.is_person and call.store is None

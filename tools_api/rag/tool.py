"""The tool `rag`: a model finds, reads and lists the documents of the person for whom it works."""

from typing import Any

from shared.errors import DeadlineExceeded, TwinportError
from shared.tools_contract import ToolDefinition, ToolError
from tools_api.invoke.tool import ToolCall, ToolOutput
from tools_api.rag.deps import owner_of
from tools_api.rag.retrieval import Retrieval
from tools_api.rag.tool_actions import DEFAULT_TOP_K, Actions
from tools_api.rag.values import MAX_QUERY

MAX_TOP_K = 20

_DESCRIPTION = (
    "Search the user's own uploaded documents (handbooks, reports, contracts, notes, PDFs). "
    'The plain call is {"query": "a question or a few words"}; everything else is optional. '
    "You get numbered passages with document and page: cite them as [1], [2]. "
    'To read on around a passage: {"action": "read", "document": "its name", "around": its part, "query": ""}. '
    'To find exact text such as a code: {"action": "grep", "query": "ERR-4711"}. '
    'To see what there is: {"action": "list", "query": ""}.'
)
_PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {
            "type": "string",
            "maxLength": MAX_QUERY,
            "description": "What to look for: a question or a few words; with grep the exact text.",
        },
        "action": {
            "type": "string",
            "enum": ["search", "grep", "read", "list"],
            "description": "search (default), grep (exact text), read (a document in order), list (what there is).",
        },
        "collection": {
            "type": "string",
            "maxLength": 400,
            "description": "Name of one collection of documents; left out, all are looked at.",
        },
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_TOP_K,
            "description": f"How many passages to return; {DEFAULT_TOP_K} by default.",
        },
        "pattern": {
            "type": "string",
            "maxLength": 1000,
            "description": "With grep: a regular expression in the place of the query.",
        },
        "document": {"type": "string", "maxLength": 1000, "description": "Name of one document; read needs it."},
        "around": {
            "type": "integer",
            "minimum": 1,
            "description": "With read: the part of the document to read around; left out, from its beginning.",
        },
    },
    "required": ["query"],
    "additionalProperties": False,
}


class RagTool:
    """Answers from what `Retrieval` has open; the caller and `acting_for` decide what there is."""

    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval

    @property
    def definition(self) -> ToolDefinition:
        standing = self._retrieval.standing
        return ToolDefinition(
            name="rag",
            description=_DESCRIPTION,
            parameters=_PARAMETERS,
            aliases=("document_search", "search_documents"),
            available=standing.state != "failed",
            unavailable_reason=standing.reason,
            unavailable_code="rag_unavailable",
        )

    async def run(self, call: ToolCall) -> ToolOutput:
        """Do what the arguments say. Raises `RagUnavailable`; what the caller asks wrongly is an output."""
        parts = await self._retrieval.parts()
        try:
            owner = owner_of(call.caller, call.acting_for or None)
            return await Actions(parts, owner).run(call.arguments)
        except TwinportError as error:
            if error.status >= 500 and not isinstance(error, DeadlineExceeded):
                raise
            return ToolOutput(error=ToolError(type=error.code, message=error.message))

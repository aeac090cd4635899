"""The wire contract between the main API (or any other service) and the tools API.

`GET /v1/tools` answers a `ToolList`; `POST /v1/tools/{name}/invoke` takes an `InvokeRequest` and answers a
`ToolResult`, at once or at the end of a stream of events. A tool that ran and failed is a `200` with `ok: false`; 4xx
and 5xx mean that the contract or the machine failed. Requests refuse unknown fields; answers ignore them, so the two
sides can be upgraded one after the other.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JsonObject = dict[str, Any]

WORKSPACE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ToolDefinition(_Answer):
    """One tool as a model sees it. `parameters` is a JSON Schema (2020-12) of type `object`.

    One that is not `available` is refused with 503, the `unavailable_code` (`sandbox_unavailable`, say) and the reason.
    One that `streams` can show what it prints while it runs. `timeout_s` is there if a call may well take longer than
    the 30 s that are usual: grant it that as its deadline.
    """

    name: str
    description: str
    parameters: JsonObject
    aliases: tuple[str, ...] = ()
    available: bool = True
    unavailable_reason: str | None = None
    unavailable_code: str | None = None
    streams: bool = False
    timeout_s: Annotated[float, Field(gt=0, le=600)] | None = None


class ToolList(_Answer):
    """The answer of `GET /v1/tools`."""

    object: Literal["list"] = "list"
    data: tuple[ToolDefinition, ...]


class InvokeRequest(_Request):
    """One call of a tool.

    `workspace` names an isolated folder that lives on between calls (a session's id, say); without one the call gets
    a fresh folder that is gone afterwards, except for its artifacts. `acting_for` names the person for whom the service
    calls: turns are taken by person, and what a tool keeps between calls is that person's alone. `deadline_ms` is
    counted from the arrival. With `stream` the answer is server-sent events: `output` as the tool prints, then one
    `result` or one `error`.
    """

    arguments: JsonObject = Field(default_factory=dict)
    workspace: Annotated[str, Field(pattern=WORKSPACE_PATTERN)] | None = None
    acting_for: Annotated[str, Field(max_length=128)] | None = None
    deadline_ms: Annotated[int, Field(ge=1, le=600_000)] = 30_000
    request_id: Annotated[str, Field(max_length=128)] | None = None
    stream: bool = False


class Artifact(_Answer):
    """A file that a tool made. Download it with `GET /v1/artifacts/{id}`; the id holds 128 random bits."""

    id: str
    name: str
    media_type: str
    size: int


class Source(_Answer):
    """A document or page that the content draws on."""

    title: str
    url: str | None = None
    snippet: str | None = None
    score: float | None = None


class ToolError(_Answer):
    """Why a tool failed, in words that a model can act on. `type` is a stable word: `timeout`, `memory`, …"""

    type: str
    message: str


class Receipt(_Answer):
    """What the call cost. Seconds, bytes, counts; `denied` lists what the sandbox refused, in a few words each.

    `processes` is the most processes and threads that were seen at once; 0 for a tool that starts none of its own.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    processes: int = 0
    bytes_out: int = 0
    files_out: int = 0
    denied: tuple[str, ...] = ()


class ToolResult(_Answer):
    """What a tool answered: `content` is the text for a model, `data` the same for a program."""

    ok: bool
    content: str = ""
    data: Any = None
    artifacts: tuple[Artifact, ...] = ()
    sources: tuple[Source, ...] = ()
    error: ToolError | None = None
    receipt: Receipt = Receipt()

    @classmethod
    def failed(cls, error_type: str, message: str) -> "ToolResult":
        """Make the result of a call that brought nothing but an error."""
        return cls(ok=False, error=ToolError(type=error_type, message=message))

"""What retrieval is opened with, as the composition root knows it from the settings."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tools_api.rag.documents.values import Limits
from tools_api.rag.parsing import ParsingOptions
from tools_api.rag.values import IndexType
from tools_api.sandbox import SandboxOptions

if TYPE_CHECKING:
    from tools_api.rag.words.languages import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class RagOptions:
    """`folder` is where collections and originals are kept. `database_file` is the catalogue's if it is an SQLite file:
    as long as there is none, nobody has ever used retrieval here. `jobs_url` is the database of durable work, `uploads`
    what uploads and owners may bring. The others are the settings of their names."""

    folder: Path
    database_url: str
    database_file: Path | None
    jobs_url: str
    uploads: Limits = field(default_factory=Limits)
    parsing: ParsingOptions = field(default_factory=lambda: ParsingOptions(sandbox=SandboxOptions()))
    index_type: IndexType = "Flat"
    chunk_tokens: int = 512
    collections_per_owner: int = 1000
    language: "Language" = "english"
    reindex: Literal["auto", "manual"] = "auto"

"""From the settings to the options of retrieval."""

from config import Settings
from tools_api.rag.documents.values import Limits
from tools_api.rag.options import RagOptions
from tools_api.sandbox_options import parsing_options

_MIB = 1024 * 1024


def rag_options(settings: Settings) -> RagOptions:
    """Return where retrieval keeps its things, and its limits. The database of workflows is the catalogue's if that is
    PostgreSQL; SQLite files are one each, so that nobody waits for another's writes."""
    in_files = settings.tools_database_url.startswith("sqlite")
    return RagOptions(
        folder=settings.data_dir / "rag",
        database_url=settings.tools_database_url,
        database_file=settings.data_dir / "tools.db" if in_files else None,
        jobs_url=f"sqlite:///{(settings.data_dir / 'jobs.db').resolve()}" if in_files else settings.tools_database_url,
        uploads=Limits(
            file_bytes=settings.rag_max_file_mb * _MIB,
            files=settings.rag_upload_max_files,
            owner_bytes=settings.rag_owner_max_mb * _MIB,
            owner_files=settings.rag_owner_max_files,
        ),
        parsing=parsing_options(settings),
        index_type=settings.rag_index_type,
        chunk_tokens=settings.rag_chunk_size,
        collections_per_owner=settings.rag_owner_max_collections,
        language=settings.rag_language,
        reindex=settings.rag_reindex,
    )

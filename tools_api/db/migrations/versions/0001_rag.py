"""The catalogue of retrieval: collections, grants, jobs and documents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def _of_collection(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_collection_id_rag_collection"
    return sa.ForeignKeyConstraint(["collection_id"], ["rag_collection.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "rag_collection",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("person", sa.String(128), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("description", sa.String(2000), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("embedding_model", sa.String(200)),
        sa.Column("embedding_fingerprint", sa.String(200)),
        sa.Column("dimensions", sa.Integer()),
        sa.Column("chunk_tokens", sa.Integer(), nullable=False),
        sa.Column("index_type", sa.String(8), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rag_collection"),
        sa.UniqueConstraint("service", "person", "name", name="uq_rag_collection_owner_name"),
    )
    op.create_table(
        "rag_grant",
        sa.Column("collection_id", sa.String(36), nullable=False),
        sa.Column("person", sa.String(128), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "person", name="pk_rag_grant"),
        _of_collection("rag_grant"),
    )
    op.create_index("ix_rag_grant_person", "rag_grant", ["person"])
    op.create_table(
        "rag_job",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("collection_id", sa.String(36), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("person", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.String(1000)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME),
        sa.Column("finished_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_rag_job"),
        _of_collection("rag_job"),
    )
    op.create_index("ix_rag_job_collection_id", "rag_job", ["collection_id"])
    op.create_index("ix_rag_job_state", "rag_job", ["state"])
    op.create_index("ix_rag_job_owner", "rag_job", ["service", "person", "id"])
    op.create_table(
        "rag_document",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("collection_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("media_type", sa.String(100), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("indexed_sha256", sa.String(64)),
        sa.Column("duplicate_of", sa.String(36)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.String(1000)),
        sa.Column("retryable", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer()),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("job_id", sa.String(36)),
        sa.Column("batch_id", sa.String(36)),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rag_document"),
        sa.UniqueConstraint("collection_id", "name", name="uq_rag_document_collection_name"),
        _of_collection("rag_document"),
    )
    op.create_index("ix_rag_document_collection_sha256", "rag_document", ["collection_id", "sha256"])
    op.create_index("ix_rag_document_duplicate_of", "rag_document", ["duplicate_of"])
    op.create_index("ix_rag_document_job_id", "rag_document", ["job_id"])
    op.create_index("ix_rag_document_state", "rag_document", ["state", "batch_id"])


def downgrade() -> None:
    for table in ("rag_document", "rag_job", "rag_grant", "rag_collection"):
        op.drop_table(table)

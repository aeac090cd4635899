"""Whose run made which artifact."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact_owners",
        sa.Column("artifact_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("artifact_id", name="pk_artifact_owners"),
    )
    op.create_index("ix_artifact_owners_created_at", "artifact_owners", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_artifact_owners_created_at", "artifact_owners")
    op.drop_table("artifact_owners")

"""Who may download what a tool made."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field

from main_api.db import Record, UtcDateTime


class ArtifactOwner(Record, table=True):
    """The account whose run made an artifact. The file itself is in the tools API, which knows services, not people."""

    __tablename__ = "artifact_owners"

    artifact_id: str = Field(primary_key=True, max_length=64)
    user_id: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcDateTime, index=True)

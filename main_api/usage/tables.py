"""What every call has used."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from main_api.db import Record, UtcDateTime


class UsageRow(Record, table=True):
    """One call. The numbers of user and key are no foreign keys: usage outlives the account that it was charged to."""

    __tablename__ = "usage"
    __table_args__ = (Index("ix_usage_user_id_at", "user_id", "at"),)

    id: str = Field(primary_key=True, max_length=32)
    at: datetime = Field(sa_type=UtcDateTime)
    user_id: int = Field(sa_type=BigInteger)
    key_id: int | None = Field(default=None, sa_type=BigInteger)
    model: str = Field(max_length=200)
    agent: str = Field(max_length=64)
    prompt_tokens: int = Field(sa_type=BigInteger)
    completion_tokens: int = Field(sa_type=BigInteger)
    partial: bool
    status: int
    latency_ms: int = Field(sa_type=BigInteger)

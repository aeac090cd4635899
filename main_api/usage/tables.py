"""What the calls have used."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from main_api.db import Record, UtcDateTime


class UsageRow(Record, table=True):
    """The sum of the calls in one batch of the journal that have all but the counts in common.

    A gateway takes thousands of calls a second and a batch is about a second, so a row is one call while little goes on
    and many when much does. The numbers of user and key are no foreign keys: usage outlives the account.
    """

    __tablename__ = "usage"
    __table_args__ = (Index("ix_usage_user_id_at", "user_id", "at"),)

    id: str = Field(primary_key=True, max_length=32)
    at: datetime = Field(sa_type=UtcDateTime)
    """The time of the newest call."""
    user_id: int = Field(sa_type=BigInteger)
    key_id: int | None = Field(default=None, sa_type=BigInteger)
    model: str = Field(max_length=200)
    agent: str = Field(max_length=64)
    calls: int = Field(sa_type=BigInteger)
    prompt_tokens: int = Field(sa_type=BigInteger)
    completion_tokens: int = Field(sa_type=BigInteger)
    partial: bool
    status: int
    latency_ms: int = Field(sa_type=BigInteger)
    """The sum over the calls."""

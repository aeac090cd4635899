"""Whose documents have to go because their account did."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field

from main_api.db import Record, UtcDateTime


class DepartedPerson(Record, table=True):
    """An account that is being deleted, until the tools API has nothing of it any more."""

    __tablename__ = "departed_people"

    user_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    left_at: datetime = Field(sa_type=UtcDateTime)

"""The database of this process: where its revisions are, and the base of its tables."""

from pathlib import Path
from typing import ClassVar

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from shared import database
from shared.database import Migrations, named_metadata

MIGRATIONS = Migrations(Path(__file__).parent / "migrations" / "versions")


class Record(SQLModel):
    """Base of our tables, and holder of the one metadata that migrations are compared with."""

    __tablename__: ClassVar[str]  # pyright: ignore[reportIncompatibleVariableOverride] - SQLModel declares a descriptor
    metadata: ClassVar[MetaData] = named_metadata()  # pyright: ignore[reportIncompatibleVariableOverride]


class Database(database.Database):
    """The main API's tables in one database; `url` is SQLAlchemy's, with the driver aiosqlite or asyncpg."""

    def __init__(self, url: str) -> None:
        super().__init__(url, MIGRATIONS)

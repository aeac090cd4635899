from tests.main_api.db.fixtures import (
    any_db,
    db,
    migrated_file,
    migrated_postgres,
    postgres_db,
    postgres_server,
    postgres_url,
)
from tests.main_api.served.fixtures import served

__all__ = [
    "any_db",
    "db",
    "migrated_file",
    "migrated_postgres",
    "postgres_db",
    "postgres_server",
    "postgres_url",
    "served",
]

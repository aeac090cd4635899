from tests.main_api.db.fixtures import (
    any_db,
    db,
    migrated_file,
    migrated_postgres,
    postgres_db,
    postgres_server,
    postgres_url,
)

__all__ = [
    "any_db",
    "db",
    "migrated_file",
    "migrated_postgres",
    "postgres_db",
    "postgres_server",
    "postgres_url",
]

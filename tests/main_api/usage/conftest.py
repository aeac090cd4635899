from tests.main_api.db.fixtures import any_db, db, postgres_db, postgres_server, postgres_url

__all__ = ["any_db", "db", "postgres_db", "postgres_server", "postgres_url"]

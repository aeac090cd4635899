"""Alembic's entry: runs the revisions on the connection, and inside the transaction, that `migrate.py` hands over."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table=attributes["version_table"],
    transactional_ddl=True,  # true for PostgreSQL, and for SQLite since `engine.py` begins transactions itself
    render_as_batch=True,
)
context.run_migrations()

"""Alembic's entry: runs the revisions on the connection, and inside the transaction, that `migrate.py` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes.get("target_metadata"),
    transactional_ddl=True,  # true for PostgreSQL, and for SQLite since `engine.py` begins transactions itself
    render_as_batch=True,
)
context.run_migrations()

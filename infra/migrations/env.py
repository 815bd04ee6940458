"""Alembic's entry: runs revisions on the connection that `infra.database.migrate` hands over."""

from alembic import context

from schemas.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

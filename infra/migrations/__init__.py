"""The schema's history (Alembic). One file a revision in `versions`, shipped with the program and run at start."""

"""Alerts name who raised them: the network, the last good one, the detector or a rule, not only model or rules."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Room for the longest name, and the names of those that stand: kinds tell the detector from the network."""
    if op.get_context().dialect.name == "postgresql":  # SQLite minds no length
        op.alter_column("alerts", "rung", type_=sa.String(32), existing_type=sa.String(16), existing_nullable=False)
    op.execute(
        "UPDATE alerts SET rung = CASE WHEN kind = 'tail' THEN 'detector' WHEN rung = 'model' THEN 'network'"
        " ELSE 'rule' END WHERE rung IN ('model', 'rules')"
    )


def downgrade() -> None:
    """The two names of before."""
    op.execute("UPDATE alerts SET rung = CASE WHEN rung = 'rule' OR model_version = 0 THEN 'rules' ELSE 'model' END")
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("alerts", "rung", type_=sa.String(16), existing_type=sa.String(32), existing_nullable=False)

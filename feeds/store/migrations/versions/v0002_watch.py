"""What watching needs: slots with leases, and what each document should hold."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the table of due slots, the hashes of documents, and what pruning deliveries needs."""
    op.create_table(
        "due",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("fires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_by", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", "slot", name=op.f("pk_due")),
    )
    op.create_index(op.f("ix_received_delivery"), "received", ["delivery"])
    op.add_column("documents", sa.Column("sha256", sa.Text(), nullable=True))
    op.execute("DELETE FROM targets")  # all is made once more, and its hashes go onto the record

"""Who asked for a run, and the names of people who signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("runs", sa.Column("owner", sa.String(64), nullable=False, server_default=""))
    owner = "(SELECT jobs.owner FROM jobs WHERE jobs.id = runs.job_id)"
    op.execute(f"UPDATE runs SET owner = {owner} WHERE EXISTS {owner}")
    op.create_table(
        "people",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
    )

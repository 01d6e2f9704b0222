"""Which state of the model and the texts a run was made from."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("runs", sa.Column("named_files", sa.String(16), nullable=False, server_default=""))

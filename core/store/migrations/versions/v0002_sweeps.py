"""Sweeps and their points; a run is found by its recipe, and a sweep's drafts are kept beside the final runs."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("runs", sa.Column("recipe_hash", sa.String(12), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("stage", sa.String(16), nullable=False, server_default="final"))
    op.create_index("runs_by_recipe", "runs", ["recipe_hash"])
    _fill_recipe_hashes()
    op.create_table(
        "sweeps",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("deleted", sa.Float),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sweep_points",
        sa.Column("sweep_id", sa.Integer, sa.ForeignKey("sweeps.id"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("coordinates", sa.Text, nullable=False),
        sa.Column("recipe", sa.Text),
        sa.Column("recipe_hash", sa.String(12)),
        sa.Column("aside", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("job_id", sa.Integer),
        sa.Column("put_back", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("sweep_points_by_recipe", "sweep_points", ["recipe_hash"])
    op.create_index("sweep_points_by_job", "sweep_points", ["job_id"])


def _fill_recipe_hashes() -> None:
    runs = sa.table("runs", sa.column("run_id"), sa.column("record"), sa.column("recipe_hash"))
    connection = op.get_bind()
    for run_id, record in connection.execute(sa.select(runs.c.run_id, runs.c.record)).all():
        found = json.loads(record).get("recipe_hash", "")
        connection.execute(sa.update(runs).where(runs.c.run_id == run_id).values(recipe_hash=found))

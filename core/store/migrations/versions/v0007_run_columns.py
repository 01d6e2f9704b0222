"""What lists say of a run stands in columns of its own, and its record in a table of its own."""

import sqlalchemy as sa
from alembic import op
from compresslab.records.results import RunSummary
from compresslab.records.run_row import RunRow
from pydantic import ValidationError

revision = "0007"
down_revision = "0006"

NUMBERS = (
    "size size_share memory_share perplexity perplexity_error perplexity_change perplexity_change_error accuracy"
    " accuracy_error accuracy_before accuracy_change flipped flipped_error decode decode_error prefill prefill_error"
).split()
INDEXES = {"model": ["model", "created"], "size": ["size_share"], "perplexity": ["perplexity_change"]}
AT_ONCE = 200  # runs


def upgrade() -> None:
    columns = [
        sa.Column("steps", sa.Text, nullable=False, server_default="[]"),
        sa.Column("seconds", sa.Double, nullable=False, server_default="0"),
        sa.Column("device", sa.Text, nullable=False, server_default=""),
        sa.Column("versions", sa.Text, nullable=False, server_default=""),
        *(sa.Column(name, sa.Double) for name in NUMBERS),
        sa.Column("simulated", sa.String(32), nullable=False, server_default=""),
    ]
    for column in columns:
        op.add_column("runs", column)
    op.create_table(
        "run_records",
        sa.Column("run_id", sa.String(32), sa.ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.execute("INSERT INTO run_records (run_id, record) SELECT run_id, record FROM runs")
    op.drop_column("runs", "record")
    _fill([column.name for column in columns])
    for name, indexed in INDEXES.items():
        op.create_index(f"runs_by_{name}", "runs", indexed)


def _fill(names: list[str]) -> None:
    """A record that can't be read any more keeps its place, without numbers."""
    records = sa.table("run_records", sa.column("run_id"), sa.column("record"))
    runs = sa.table("runs", sa.column("run_id"), *map(sa.column, names))
    connection = op.get_bind()
    run_ids = connection.execute(sa.select(records.c.run_id)).scalars().all()
    one = sa.update(runs).where(runs.c.run_id == sa.bindparam("of"))
    fill = one.values({name: sa.bindparam(name) for name in names})
    for start in range(0, len(run_ids), AT_ONCE):
        some = sa.select(records).where(records.c.run_id.in_(run_ids[start : start + AT_ONCE]))
        rows = [_columns(record, names) | {"of": run_id} for run_id, record in connection.execute(some).all()]
        read = [row for row in rows if len(row) > 1]
        if read:
            connection.execute(fill, read)


def _columns(record: str, names: list[str]) -> dict[str, object]:
    try:
        row = RunRow.of(RunSummary.model_validate_json(record))
    except ValidationError:
        return {}
    return {name: getattr(row, name) for name in names}

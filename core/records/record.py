"""What all plain data have in common: it is never changed, and refuses what it does not know."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

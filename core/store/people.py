"""Names of those who have signed in: what they asked for is kept with their id."""

from __future__ import annotations

from compresslab.store.database import Database
from compresslab.store.tables import PEOPLE
from sqlalchemy import delete, insert, select

LONGEST_NAME = 200


class PeopleStore:
    """Every query on people."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def note(self, person: str, name: str) -> None:
        """What they are called now."""
        name = name[:LONGEST_NAME]
        if self.name(person) == name:
            return
        with self.database.write() as connection:
            connection.execute(delete(PEOPLE).where(PEOPLE.c.id == person))
            connection.execute(insert(PEOPLE).values(id=person, name=name))

    def name(self, person: str) -> str | None:
        """None for somebody who has never signed in."""
        with self.database.read() as connection:
            return connection.execute(select(PEOPLE.c.name).where(PEOPLE.c.id == person)).scalar_one_or_none()

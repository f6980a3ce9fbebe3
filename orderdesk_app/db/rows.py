"""What every table is built on: one metadata of our own, and constraint names that migrations can
rely on.
"""

from typing import ClassVar

from sqlalchemy import MetaData
from sqlmodel import SQLModel

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel):
    """A row of our database.

    The metadata is ours alone: other users of SQLModel in this process have their own.
    """

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMES)

"""The pagination of a result with rows."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

Cut = Annotated[str, Field(description="That rows were left out, and how to go on.")]


class Pagination(TypedDict):
    total: int | None
    count: int
    limit: int
    offset: int
    has_more: bool
    next_offset: int | None


def pagination(
    total: int | None, count: int, limit: int, offset: int, has_more: bool
) -> Pagination:
    """`total` is None when it is unknown; `next_offset` is None on the last page."""
    return {
        "total": total,
        "count": count,
        "limit": limit,
        "offset": offset,
        "has_more": has_more,
        "next_offset": offset + count if has_more else None,
    }


def cut_words(count: int, of: int, by: str) -> str:
    """That a page is shorter than asked, as a result would be too long for clients, and by which
    field of the pagination it goes on.
    """
    return f"{count} of {of} rows, as more would be too long. Go on with {by}."

"""The pagination of a result with rows."""

from typing_extensions import TypedDict


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

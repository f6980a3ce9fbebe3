"""A store's folders: those read when it was connected, and, when these do not suffice, those that
Order Desk has now, through the cache.
"""

from collections.abc import Callable, Iterable, Mapping

from orderdesk_app.context import Json
from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.comparison import as_list
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.reads import Reads

FolderList = tuple[tuple[str, str], ...]  # (id, name) in Order Desk's order


class Folders:
    """`cache_seconds` is CACHE_TTL_STORE_SETTINGS."""

    def __init__(self, client: OrderDeskClient, reads: Reads, *, cache_seconds: float) -> None:
        self._client = client
        self._reads = reads
        self._seconds = cache_seconds

    async def refresh(
        self,
        store: OpenStore,
        budget: WaitBudget,
        *,
        suffices: Callable[[FolderList], bool] = bool,
    ) -> FolderList:
        """The folders as Order Desk had them within the cache's time; where these do not suffice,
        as it has them now: one that a person made after a refusal is found at once.

        Raises what the client raises.
        """

        async def fetch() -> list[list[str]]:
            answer = await self._client.store.get_store(store.access, budget)
            return [list(pair) for pair in folders_of(answer)]

        async def read(*, is_fresh: bool) -> tuple[FolderList, bool]:
            kept, cached = await self._reads.get(
                store.record, "store_settings", "folders", self._seconds, fetch, is_fresh=is_fresh
            )
            return tuple((str(id_), str(name)) for id_, name in kept), cached

        folders, cached = await read(is_fresh=False)
        if cached and not suffices(folders):
            folders, _ = await read(is_fresh=True)
        return folders

    async def naming(self, store: OpenStore, ids: Iterable[Json], budget: WaitBudget) -> FolderList:
        """The folders, read again when one of these ids has no name. Without an answer the known
        folders are returned: a list of orders does not fail because a name is missing.
        """
        known = store.record.folders
        if {str(id_) for id_ in ids if id_ is not None} <= {id_ for id_, _ in known}:
            return known
        try:
            return await self.refresh(store, budget)
        except OrderDeskAgentsError:
            return known


def folders_of(answer: Mapping[str, Json]) -> FolderList:
    """The folders of a store, from Order Desk's map of id to name or from our own list of pairs."""
    folders = answer.get("folders")
    if isinstance(folders, Mapping):
        return tuple((str(id_), str(name)) for id_, name in folders.items())
    return tuple(
        (str(pair[0]), str(pair[1]))
        for pair in as_list(folders)
        if isinstance(pair, list | tuple) and len(pair) == 2
    )

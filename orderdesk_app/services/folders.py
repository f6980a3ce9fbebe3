"""A store's folders: as they stood when it was connected, and asked for anew, through the cache,
when that is not enough.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from orderdesk_app.errors import OrderDeskAgentsError
from orderdesk_app.orderdesk.client import OrderDeskClient
from orderdesk_app.orderdesk.wait_budget import WaitBudget
from orderdesk_app.services.open_store import OpenStore
from orderdesk_app.services.reads import Reads

FolderList = tuple[tuple[str, str], ...]  # (id, name) in Order Desk's order


class Folders:
    """`cache_seconds` is CACHE_TTL_STORE_SETTINGS: a folder that nobody knows costs one request in
    that time.
    """

    def __init__(self, client: OrderDeskClient, reads: Reads, *, cache_seconds: float) -> None:
        self._client, self._reads, self._seconds = client, reads, cache_seconds

    async def anew(self, store: OpenStore, budget: WaitBudget) -> FolderList:
        """The folders as Order Desk has them now, or had them within the cache's time.

        Raises what the client raises.
        """

        async def fetch() -> Any:
            told = await self._client.store.get_store(store.access, budget)
            return [list(pair) for pair in folders_of(told)]

        kept, _ = await self._reads.get(
            store.record, "store_settings", "folders", self._seconds, fetch
        )
        return tuple((str(id_), str(name)) for id_, name in kept)

    async def naming(self, store: OpenStore, ids: Iterable[Any], budget: WaitBudget) -> FolderList:
        """Folders that name these ids as far as Order Desk tells; a list of orders does not fail
        for want of a name.
        """
        known = store.record.folders
        if {str(id_) for id_ in ids if id_ is not None} <= {id_ for id_, _ in known}:
            return known
        try:
            return await self.anew(store, budget)
        except OrderDeskAgentsError:
            return known


def folders_of(told: Mapping[str, Any]) -> FolderList:
    """The folders of a store as Order Desk tells them: a map of id and name, or our own list of
    pairs.
    """
    folders = told.get("folders") or {}
    pairs = folders.items() if isinstance(folders, Mapping) else folders
    return tuple((str(id_), str(name)) for id_, name in pairs)

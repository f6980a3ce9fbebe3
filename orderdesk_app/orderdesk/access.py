"""What a request to one Order Desk store needs: where, which store, and its key."""

from dataclasses import dataclass

from orderdesk_app.context import Secret, StoreId


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """One store at one Order Desk address. The key prints as ***."""

    api_url: str
    store_id: StoreId
    api_key: Secret

    @property
    def key(self) -> str:
        """Names the store's bucket, locks and cache tag, whichever tenant asks."""
        return f"{self.api_url}|{self.store_id}"

"""What a request to one Order Desk store needs: where, which store, and its key."""

from dataclasses import dataclass

from orderdesk_app.context import Secret, StoreId, TenantId


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """One store at one Order Desk address. The key prints as ***."""

    api_url: str
    store_id: StoreId
    api_key: Secret
    # The tenant that tries a key which Order Desk has not accepted yet. Such a try has a bucket of
    # its own: guessing a key must not use up the bucket of the store.
    on_trial_by: TenantId | None = None

    @property
    def upstream_id(self) -> str:
        """Names the store's bucket, locks and cache tag, whichever tenant asks."""
        if self.on_trial_by is not None:
            return f"{self.api_url}|on trial by {self.on_trial_by}"
        return f"{self.api_url}|{self.store_id}"

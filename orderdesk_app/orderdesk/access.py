"""What a request to one Order Desk store needs: the API address, the store id and its key."""

from dataclasses import dataclass

from orderdesk_app.context import Secret, StoreId, TenantId


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """One store at one Order Desk address, with the credentials of docs/orderdesk-api.md section 1.

    `api_url` has no slash at its end. The key prints as ***.
    """

    api_url: str
    store_id: StoreId
    api_key: Secret
    # The tenant whose key Order Desk has not accepted yet. Its requests have a bucket of their own:
    # guessing a key must not use up the bucket of the store.
    on_trial_by: TenantId | None = None

    @property
    def upstream_id(self) -> str:
        """The name of the store's bucket, locks and cache tag, the same for all tenants: Order Desk
        counts requests by store (docs/orderdesk-api.md section 10).
        """
        if self.on_trial_by is not None:
            return f"{self.api_url}|on trial by {self.on_trial_by}"
        return f"{self.api_url}|{self.store_id}"

"""What the dialog of a deletion shows (components/deletion.py)."""

from collections.abc import Sequence
from typing import TypedDict

from orderdesk_app.services.account_deletion import AccountPreview
from orderdesk_app.services.deletions import Count
from orderdesk_app.services.user_deletion import AffectedAccount, UserPreview


class DeletionView(TypedDict):
    """Empty texts are not shown. `to_type` is what has to be typed; empty until it is known."""

    name: str
    to_type: str
    counts: list[str]  # "2 connected stores"
    goes: list[str]  # a sentence for each account that goes
    losers: list[str]  # a sentence for each account that others lose
    stays: list[str]  # a sentence for each account that stays


NOT_LOOKED_YET = DeletionView(name="", to_type="", counts=[], goes=[], losers=[], stays=[])


def view_of_user(preview: UserPreview) -> DeletionView:
    return DeletionView(
        name=preview.name,
        to_type=preview.to_type,
        counts=_lines(preview.counts),
        goes=[
            f"The account {account.name} goes, with everything in it." for account in preview.goes
        ],
        losers=[
            _loss(account.name, account.others, account.other_count)
            for account in preview.goes
            if account.other_count
        ],
        stays=[_stays(account) for account in preview.stays],
    )


def view_of_account(preview: AccountPreview) -> DeletionView:
    return DeletionView(
        name=preview.name,
        to_type=preview.name,
        counts=_lines(preview.counts),
        goes=[],
        losers=[_loss(preview.name, preview.others, preview.other_count)]
        if preview.other_count
        else [],
        stays=[],
    )


def _lines(counts: Sequence[Count]) -> list[str]:
    return [f"{count.number:,} {count.words}" for count in counts]


def _loss(account: str, others: Sequence[str], count: int) -> str:
    return f"{_people(others, count)} {'loses' if count == 1 else 'lose'} the account {account}."


def _stays(account: AffectedAccount) -> str:
    return f"The account {account.name} stays, as it has another owner."


def _people(names: Sequence[str], count: int) -> str:
    shown = list(names[:5])
    left = count - len(shown)
    if left:
        return f"{', '.join(shown)} and {left} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))

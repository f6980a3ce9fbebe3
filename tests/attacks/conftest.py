"""One account with everybody in it, and a neighbour with belongings, for all attacks of a file."""

import pytest

from tests.attacks.cast import NEIGHBOUR, OWNER, Belongings, Cast, give_belongings, invite_cast
from tests.web.browser_session import Web


@pytest.fixture(scope="module")
def cast(served: Web) -> Cast:
    return invite_cast(served)


@pytest.fixture(scope="module")
def theirs(cast: Cast) -> Belongings:
    """What the neighbour has."""
    return give_belongings(cast[NEIGHBOUR])


@pytest.fixture(scope="module")
def ours(cast: Cast) -> Belongings:
    """What the account of the others has."""
    return give_belongings(cast[OWNER], "Ada-has-this")

"""A tool finds the services that it uses by their class."""

import pytest

from orderdesk_app.tools.tool_services import ToolServices


class Parcels:
    pass


class FakeParcels(Parcels):
    pass


def test_a_service_is_found_by_its_class() -> None:
    parcels = Parcels()

    assert ToolServices(parcels, object())[Parcels] is parcels


def test_a_fake_stands_for_the_class_that_it_extends() -> None:
    fake = FakeParcels()

    assert ToolServices(fake)[Parcels] is fake


def test_a_service_that_wiring_does_not_give_is_named() -> None:
    with pytest.raises(AssertionError, match="gives tools no Parcels"):
        ToolServices()[Parcels]

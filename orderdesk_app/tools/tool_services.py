"""The services that tools use, found by their class.

A new one is a property in wiring/, named in its `tool_services`.
"""

from typing import TypeVar

ServiceT = TypeVar("ServiceT")


class ToolServices:
    """`services[Orders]` is the instance of Orders, or of a subclass of it (a fake)."""

    def __init__(self, *services: object) -> None:
        self._by_class: dict[type, object] = {
            known_as: service
            for service in services
            for known_as in type(service).__mro__
            if known_as is not object
        }

    def __getitem__(self, wanted: type[ServiceT]) -> ServiceT:
        found = self._by_class.get(wanted)
        assert isinstance(found, wanted), f"wiring/ gives tools no {wanted.__name__}"
        return found

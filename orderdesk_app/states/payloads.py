"""Whether what a browser sends with an event is what its handler takes.

A page of ours always sends the right names and types. Anything else is somebody's own event: it is
no fault of ours, and the handler would fail on it.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError


def fits(function: Callable[..., Any], payload: Mapping[str, Any]) -> bool:
    """Whether the handler can be called with exactly these names and values."""
    known, required = _parameters(function)
    if not required <= payload.keys() <= known.keys():
        return False
    try:
        for name, value in payload.items():
            known[name].validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@cache
def _parameters(
    function: Callable[..., Any],
) -> tuple[Mapping[str, TypeAdapter[Any]], frozenset[str]]:
    """The parameters after the state, each with its check, and those that must be there."""
    hints = get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return (
        {each.name: TypeAdapter(hints.get(each.name, Any)) for each in parameters},
        frozenset(each.name for each in parameters if each.default is each.empty),
    )

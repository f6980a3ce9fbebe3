"""The JSON object that the sandbox takes, keeps and sends."""

from typing import Any, TypeAlias

# Any, as a caller may send any JSON, and PHP writes one field in several forms ([] for {}). What
# comes in is checked by the functions of orders.py; what is kept has the shape that they gave it.
Body: TypeAlias = dict[str, Any]

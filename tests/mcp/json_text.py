"""The text of a result as an answer carries it."""

from collections.abc import Mapping

from orderdesk_app.mcp.prebuilt_result import PrebuiltResult


def json_text(result: Mapping[str, object]) -> str:
    """A JSON string."""
    prebuilt = PrebuiltResult()
    prebuilt.placeholder_for(result)
    return prebuilt.text.decode()

"""How the sandbox says no: an HTTP status and Order Desk's own kind of sentence."""


class Refusal(Exception):
    """Becomes the error envelope of section 5; the status may well be 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

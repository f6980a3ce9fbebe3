"""The `orderdesk` command, also as `python -m orderdesk_app`."""

import gc
import sys
from collections.abc import Callable
from importlib import import_module


def main() -> int:
    """The exit code of the command.

    Imports make many objects and free none: the garbage collector would walk them again and again,
    for a quarter of the time of a start. At the end Python would walk all of them once more, for
    0.6 s of work that frees nothing which the end of the process does not.
    """
    gc.disable()
    command: Callable[[], int] = import_module("orderdesk_app.cli").main
    gc.freeze()  # they live until the end: no later walk, of the workers neither, goes over them
    gc.enable()
    try:
        return command()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())

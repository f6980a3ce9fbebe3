"""A browser that was left open, or a stolen cookie, an hour after the sign-in: every act that needs
a recent proof of identity is refused, raw, at the service that does it.

Guard: `Reauthentication.require_recent`. Which acts ask it is read from the code.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import orderdesk_app
from orderdesk_app import services as services_package
from orderdesk_app.context import Actor, Role, Via
from orderdesk_app.errors import ReauthenticationRequired
from orderdesk_app.services.reauthentication import Reauthentication
from tests.attacks.cast import OPERATOR, OWNER, Cast, switched_off
from tests.web.browser_session import BrowserSession

FOLDER = Path(services_package.__file__).parent


def acts() -> list[str]:
    """`module.Class.method` of each that asks for a recent proof."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for owner in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
            for act in [node for node in owner.body if isinstance(node, ast.AsyncFunctionDef)]:
                asks = [
                    node
                    for node in ast.walk(act)
                    if isinstance(node, ast.Attribute) and node.attr == "require_recent"
                ]
                if asks:
                    found.append(f"{path.stem}.{owner.name}.{act.name}")
    return found


def called(name: str, web_services: Any) -> Callable[..., Any]:
    """The method of the service that the app runs with."""
    module, owner, act = name.split(".")
    kind = getattr(importlib.import_module(f"orderdesk_app.services.{module}"), owner)
    for attribute in dir(web_services):
        if not attribute.startswith("_") and isinstance(getattr(web_services, attribute), kind):
            method: Callable[..., Any] = getattr(getattr(web_services, attribute), act)
            return method
    raise LookupError(f"no service of the app is a {owner}")

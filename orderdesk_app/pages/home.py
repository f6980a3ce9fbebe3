"""What is going on: problems, four numbers, the latest calls, the stores' health, a newcomer's next steps."""

import reflex as rx

from orderdesk_app.components.page import Page
from orderdesk_app.components.pieces import empty


def home() -> rx.Component:
    return rx.el.section(empty("activity", "No calls yet", "What assistants and people do with your stores stands here as it happens."), class_name="panel")


PAGE = Page(route="/", title="Home", icon="house", draw=home, order=10, key="h")

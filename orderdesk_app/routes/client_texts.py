"""What a client needs to connect with a new key, as plain pages show it: the steps and texts that
the page Connect gives.
"""

from markupsafe import Markup

from orderdesk_app.context import Secret
from orderdesk_app.routes.html_pages import copyable
from orderdesk_app.services.client_setups import CLIENTS, ClientSetup


def of_client(client: ClientSetup, public_url: str, key: Secret, prefix: str) -> Markup:
    """The client's steps and what it is given, with the key in it; nothing for one that takes no
    key. The ids of the texts are the prefix and their number.
    """
    if client.by_key is None:
        return Markup()
    steps = Markup().join(Markup("<li>{}</li>").format(step) for step in client.key_steps)
    parts = Markup().join(
        copyable(f"{prefix}-{number}", part.text, part.title, words=part.where)
        for number, part in enumerate(client.by_key(public_url, key.reveal()), 1)
    )
    return Markup('<ol class="steps">{steps}</ol>{parts}').format(steps=steps, parts=parts)


def of_every_client(public_url: str, key: Secret) -> Markup:
    """The same of all clients that take a key, each behind its name."""
    return Markup("<h2>Put it into an assistant</h2>") + Markup().join(
        Markup(
            '<details><summary>{name}</summary><div class="stack tight">{texts}</div></details>'
        ).format(name=client.name, texts=of_client(client, public_url, key, client.id))
        for client in CLIENTS
        if client.by_key is not None
    )

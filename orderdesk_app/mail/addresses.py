"""E-mail addresses: whether a text is one, and the form that is kept, compared and sent to."""

from email_validator import EmailNotValidError, validate_email

from orderdesk_app.errors import ValidationFailed

MOST_CHARACTERS = 254  # RFC 5321, 4.5.3.1.3


def email_address(text: str) -> str:
    """The address in its one form: a domain in small letters, and beyond a to z as `xn--…`, which
    is how mail is sent to it. The part before the @ keeps its case, as its server may mind.

    Nothing is asked of the network. Raises ValidationFailed.
    """
    text = text.strip()
    try:
        # A longer text is no address, and must not cost the time of looking.
        if len(text) > MOST_CHARACTERS:
            raise EmailNotValidError
        found = validate_email(text, check_deliverability=False, strict=True)
    except (EmailNotValidError, UnicodeError):
        raise ValidationFailed(
            "This is no e-mail address. Write one such as ada@example.com.", field="email"
        ) from None
    return f"{found.local_part}@{found.ascii_domain}"


def readable(address: str) -> str:
    """The address as people read it: `xn--bcher-kva.example` is `bücher.example`."""
    name, _, domain = address.rpartition("@")
    try:
        return f"{name}@{domain.encode('ascii').decode('idna')}"
    except UnicodeError:
        return address

"""What a passkey proves: the library webauthn (py_webauthn) verifies, and this module says by what.

The RP id and the origin are those of PUBLIC_URL, whatever a request says. User verification (a PIN,
a finger, a face) is required: a passkey alone signs in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from orderdesk_app.errors import SignInFailed
from orderdesk_app.late_imports import LateImport

_LIBRARY = LateImport("webauthn")
if TYPE_CHECKING:
    import webauthn
    from webauthn.helpers.structs import AuthenticationCredential, AuthenticatorTransport
else:
    webauthn = _LIBRARY

RP_NAME = "Order Desk agents"
_LONGEST = 32 * 1024  # characters of a browser's answer
_LONGEST_ID = 1023  # bytes, WebAuthn level 3, section 4
_SECONDS = 300
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """A passkey that was made just now and verified."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PasskeyAnswer:
    """A browser's answer, not verified yet: it says which passkey it is of."""

    credential_id: bytes
    user_handle: bytes | None
    parsed: "AuthenticationCredential"


class PasskeyRules:
    """Verifies passkeys for one address. Every method raises SignInFailed for an answer that proves
    nothing.
    """

    def __init__(self, public_url: str) -> None:
        url = urlsplit(public_url.lower())
        self.rp_id = url.hostname or ""
        default = {"http": 80, "https": 443}.get(url.scheme)
        port = f":{url.port}" if url.port not in (None, default) else ""
        self.origin = f"{url.scheme}://{self.rp_id}{port}"
        # Browsers make passkeys for names alone, and over https; "localhost" is the exception.
        is_local = self.rp_id == "localhost" or self.rp_id.endswith(".localhost")
        self.is_available = (url.scheme == "https" or is_local) and not _is_ip(self.rp_id)

    async def load(self) -> None:
        """Load the library, 6 MB that are left out until somebody uses a passkey, beside the event
        loop. Every other method needs it.
        """
        await _LIBRARY.load()

    def creation_options(
        self, challenge: bytes, *, user_handle: bytes, name: str, known: Iterable[bytes]
    ) -> str:
        """JSON for `navigator.credentials.create`: a passkey that the browser offers by itself, on
        none of the devices that have a `known` one.
        """
        structs = webauthn.helpers.structs
        options = webauthn.generate_registration_options(
            rp_id=self.rp_id,
            rp_name=RP_NAME,
            user_id=user_handle,
            user_name=name,
            challenge=challenge,
            timeout=_SECONDS * 1000,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in known],
        )
        return webauthn.options_to_json(options)

    def request_options(self, challenge: bytes, *, known: Iterable[bytes] = ()) -> str:
        """JSON for `navigator.credentials.get`; without `known` the browser offers whatever it has
        for this address.
        """
        structs = webauthn.helpers.structs
        options = webauthn.generate_authentication_options(
            rp_id=self.rp_id,
            challenge=challenge,
            timeout=_SECONDS * 1000,
            allow_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in known],
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        return webauthn.options_to_json(options)

    def verify_new(self, answer: str, challenge: bytes) -> NewPasskey:
        """The passkey that answers these creation options."""

        def verify() -> NewPasskey:
            parsed = webauthn.helpers.parse_registration_credential_json(_short(answer))
            verified = webauthn.verify_registration_response(
                credential=parsed,
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=self.origin,
                require_user_verification=True,
            )
            if len(verified.credential_id) > _LONGEST_ID:
                raise ValueError("the credential id is too long")
            return NewPasskey(
                verified.credential_id,
                verified.credential_public_key,
                verified.sign_count,
                _transports(parsed.response.transports or ()),
            )

        return _or_refused(verify)

    def read(self, answer: str) -> PasskeyAnswer:
        """Which passkey the answer claims to be of; `verify_use` says whether it is."""

        def read() -> PasskeyAnswer:
            parsed = webauthn.helpers.parse_authentication_credential_json(_short(answer))
            return PasskeyAnswer(parsed.raw_id, parsed.response.user_handle, parsed)

        return _or_refused(read)

    def verify_use(self, answer: PasskeyAnswer, challenge: bytes, public_key: bytes) -> int:
        """The passkey's count of uses as it says it; 0 where it does not count. Whether it went
        back is for the caller to judge.
        """

        def verify() -> int:
            verified = webauthn.verify_authentication_response(
                credential=answer.parsed,
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=self.origin,
                credential_public_key=public_key,
                credential_current_sign_count=0,
                require_user_verification=True,
            )
            return verified.new_sign_count

        return _or_refused(verify)


def _or_refused(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:  # whatever the parsers of the library raise for an odd answer
        raise SignInFailed(
            "This passkey could not be verified. Try again, or use another way."
        ) from error


def _short(answer: str) -> str:
    if len(answer) > _LONGEST:
        raise ValueError("the answer is too long")
    return answer


def _transports(given: Iterable["AuthenticatorTransport"]) -> tuple[str, ...]:
    return tuple(sorted({transport.value for transport in given}))


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

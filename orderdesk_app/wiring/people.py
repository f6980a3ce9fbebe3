"""Services of people: accounts, keys, sessions and signing in."""

from functools import cached_property

from orderdesk_app.context import JsonObject
from orderdesk_app.db.audit import NAMELESS
from orderdesk_app.db.deletions import RowDeletion
from orderdesk_app.db.schema import METADATA
from orderdesk_app.security.passkeys import PasskeyRules
from orderdesk_app.security.web import SessionCookies
from orderdesk_app.services.access import Access, KeysAndTokens
from orderdesk_app.services.account_deletion import AccountDeletion
from orderdesk_app.services.account_switch import AccountSwitch
from orderdesk_app.services.apps import ConnectedApps
from orderdesk_app.services.client_metadata import ClientMetadata
from orderdesk_app.services.connected_apps import AppConnections
from orderdesk_app.services.consent import ConsentTokens
from orderdesk_app.services.data_export import DataExport
from orderdesk_app.services.deletions import DELETION, Deletions
from orderdesk_app.services.devices import DEVICE_MAIL, DeviceMails, Devices
from orderdesk_app.services.flash_messages import FlashMessages, HeldForms
from orderdesk_app.services.former_keys import FormerKeys
from orderdesk_app.services.identity_proofs import IdentityProofs
from orderdesk_app.services.invitations import Invitations
from orderdesk_app.services.jobs import Handler
from orderdesk_app.services.key_changes import KeyChanges
from orderdesk_app.services.key_check import KeyCheck
from orderdesk_app.services.keys import Keys
from orderdesk_app.services.magic_links import MagicLinks
from orderdesk_app.services.oauth_authorization import AuthorizationRequests
from orderdesk_app.services.oauth_clients import OAuthClients
from orderdesk_app.services.oauth_resource import OAuthResource
from orderdesk_app.services.oauth_tokens import OAuthTokens
from orderdesk_app.services.own_sessions import OwnSessions
from orderdesk_app.services.passkey_challenges import PasskeyChallenges
from orderdesk_app.services.passkey_sign_in import PasskeySignIn
from orderdesk_app.services.passkeys import Passkeys
from orderdesk_app.services.people import People as AccountPeople
from orderdesk_app.services.profile import Profile
from orderdesk_app.services.provisioning import Provisioning
from orderdesk_app.services.reauthentication import Reauthentication
from orderdesk_app.services.sessions import FormTokens, Sessions
from orderdesk_app.services.sign_in import SignIn
from orderdesk_app.services.sign_in_links import SIGN_IN_MAIL, SignInLinks
from orderdesk_app.services.sign_up import SignUp, SignUpRules
from orderdesk_app.services.tenants import Tenants
from orderdesk_app.services.user_deletion import UserDeletion
from orderdesk_app.services.users import Users
from orderdesk_app.wiring.engines import Engines


class People(Engines):
    """The services that know people, built on the engines."""

    @cached_property
    def reauthentication(self) -> Reauthentication:
        return Reauthentication(self.database)

    @cached_property
    def keys(self) -> Keys:
        return Keys(
            self.database,
            self.keyring,
            self.signals,
            self.passwords,
            self.reauthentication,
            audit=self.audit,
            rotations=self.limits.rotations,
            mailer=self.mailer,
        )

    @cached_property
    def key_changes(self) -> KeyChanges:
        return KeyChanges(self.database, self.keys, self.signals, self.reauthentication)

    @cached_property
    def tenants(self) -> Tenants:
        return Tenants(self.database, self.keys)

    @cached_property
    def provisioning(self) -> Provisioning:
        return Provisioning(
            self.tenants,
            self.keys,
            self.limits.new_accounts,
            self.audit,
            is_on=self.settings.auto_provision_tenant,
        )

    @cached_property
    def profile(self) -> Profile:
        return Profile(self.database, self.signals, self.tenants, self.audit)

    @cached_property
    def deletions(self) -> Deletions:
        return Deletions(
            self.database,
            RowDeletion(self.database, METADATA, nameless=NAMELESS, erasure=self.audit_key.erasure),
            self.audit_chains,
            self.jobs,
            self.signals,
            self.keyring,
            self.reads,
            self.keys,
            self.tenants,
            self.audit,
            write_seconds=self.settings.http_timeout,
        )

    @cached_property
    def user_deletion(self) -> UserDeletion:
        return UserDeletion(self.database, self.deletions, self.reauthentication)

    @cached_property
    def account_deletion(self) -> AccountDeletion:
        return AccountDeletion(self.database, self.deletions, self.reauthentication)

    @cached_property
    def data_export(self) -> DataExport:
        return DataExport(self.database, self.sealer, self.audit, limit=self.limits.exports)

    @cached_property
    def job_handlers(self) -> dict[str, Handler]:
        async def go_on_with_deletion(payload: JsonObject) -> None:
            await self.deletions.run_job(payload)  # which itself adds jobs

        async def mail_sign_in_link(payload: JsonObject) -> None:
            await self.sign_in_links.deliver(payload)

        async def mail_about_device(payload: JsonObject) -> None:
            await self.device_mails.deliver(payload)

        return {
            **super().job_handlers,
            DELETION: go_on_with_deletion,
            DEVICE_MAIL: mail_about_device,
            SIGN_IN_MAIL: mail_sign_in_link,
        }

    @cached_property
    def access(self) -> Access:
        return Access(self.database, KeysAndTokens(self.keys, self.oauth_tokens), self.signals)

    @cached_property
    def key_check(self) -> KeyCheck:
        return KeyCheck(
            self.access,
            self.limits.wrong_keys,
            self.audit,
            provisioning=self.provisioning,
            former_keys=FormerKeys(self.database, self.keyring),
        )

    @cached_property
    def oauth_clients(self) -> OAuthClients:
        return OAuthClients(
            self.database,
            self.keyring,
            ClientMetadata(self.public_fetch, clock=self.clock),
            registrations=self.limits.registrations,
            documents_fetched=self.limits.client_documents,
        )

    @cached_property
    def sessions(self) -> Sessions:
        secret = self.settings.jwt_secret_key.get_secret_value().encode()
        cookies = SessionCookies(secret or self.keyring.purpose("jwt"))
        timeout = self.settings.session_timeout
        is_secure = self.settings.cookie_secure
        return Sessions(
            self.database,
            self.keyring,
            cookies,
            timeout=timeout,
            is_secure=is_secure,
            signals=self.signals,
            devices=self.devices,
        )

    @cached_property
    def devices(self) -> Devices:
        return Devices(self.keyring, self.mailer, self.jobs)

    @cached_property
    def device_mails(self) -> DeviceMails:
        return DeviceMails(self.database, self.mailer, self.limits.device_mails)

    @cached_property
    def own_sessions(self) -> OwnSessions:
        return OwnSessions(self.database, self.sessions, self.signals, self.audit)

    @cached_property
    def magic_links(self) -> MagicLinks:
        return MagicLinks(self.keyring, self.sealer)

    @cached_property
    def sign_in(self) -> SignIn:
        return SignIn(
            self.database,
            self.magic_links,
            self.keys,
            self.sessions,
            limit=self.limits.sign_in,
            sign_ins=self.limits.sign_ins,
            audit=self.audit,
            provisioning=self.provisioning,
        )

    @cached_property
    def account_switch(self) -> AccountSwitch:
        return AccountSwitch(self.database, self.sessions, self.audit)

    @cached_property
    def people(self) -> AccountPeople:
        return AccountPeople(
            self.database, self.signals, self.tenants, self.reauthentication, self.audit
        )

    @cached_property
    def invitations(self) -> Invitations:
        return Invitations(
            self.database,
            self.signals,
            self.magic_links,
            self.mailer,
            self.sessions,
            self.reauthentication,
            self.audit,
            limit=self.limits.invitations,
            answers=self.limits.invitation_answers,
            public_url=self.settings.public_url,
        )

    @cached_property
    def sign_up(self) -> SignUp:
        rules = SignUpRules(
            is_open=self.settings.enable_public_signup,
            needs_proof=self.settings.require_email_verification,
            works_for=self.settings.signup_verification_expiry,
        )
        return SignUp(
            self.database,
            self.tenants,
            self.keys,
            self.magic_links,
            self.mailer,
            self.sessions,
            rules,
            limits=self.limits.sign_up,
            audit=self.audit,
        )

    @cached_property
    def sign_in_links(self) -> SignInLinks:
        return SignInLinks(
            self.database,
            self.magic_links,
            self.mailer,
            self.jobs,
            self.audit,
            by_network=self.limits.link_requests,
            by_mailbox=self.limits.links_of_mailbox,
        )

    @cached_property
    def users(self) -> Users:
        return Users(self.database, self.signals, self.reauthentication, self.audit)

    # ------------------------------------------------------------------ connected apps

    @cached_property
    def oauth_resource(self) -> OAuthResource:
        return OAuthResource(self.settings.public_url)

    @cached_property
    def authorization_requests(self) -> AuthorizationRequests:
        return AuthorizationRequests(
            self.database,
            self.keyring,
            self.oauth_clients,
            self.reauthentication,
            self.audit,
            self.oauth_resource,
        )

    @cached_property
    def app_connections(self) -> AppConnections:
        return AppConnections(self.database, self.mailer, self.audit)

    @cached_property
    def oauth_tokens(self) -> OAuthTokens:
        return OAuthTokens(
            self.database,
            self.keyring,
            self.sealer,
            self.signals,
            self.audit,
            self.app_connections,
            pairs=self.limits.token_pairs,
        )

    # ------------------------------------------------------------------ forms and passkeys

    @cached_property
    def form_tokens(self) -> FormTokens:
        secret = self.settings.csrf_secret_key.get_secret_value().encode()
        return FormTokens(secret or self.keyring.purpose("csrf"))

    @cached_property
    def consent_tokens(self) -> ConsentTokens:
        secret = self.settings.csrf_secret_key.get_secret_value().encode()
        return ConsentTokens(secret or self.keyring.purpose("csrf"))

    @cached_property
    def connected_apps(self) -> ConnectedApps:
        return ConnectedApps(self.database, self.signals, self.audit)

    @cached_property
    def flash_messages(self) -> FlashMessages:
        return FlashMessages()

    @cached_property
    def held_forms(self) -> HeldForms:
        return HeldForms()

    @cached_property
    def passkeys(self) -> Passkeys:
        return Passkeys(
            self.database,
            PasskeyRules(self.settings.public_url),
            PasskeyChallenges(self.keyring),
            self.reauthentication,
            self.signals,
            self.audit,
        )

    @cached_property
    def passkey_sign_in(self) -> PasskeySignIn:
        return PasskeySignIn(
            self.database,
            self.passkeys,
            self.keys,
            self.sessions,
            self.audit,
            limit=self.limits.sign_in,
            sign_ins=self.limits.sign_ins,
        )

    @cached_property
    def identity_proofs(self) -> IdentityProofs:
        return IdentityProofs(
            self.database,
            self.keys,
            self.magic_links,
            self.mailer,
            self.passkeys,
            self.audit,
            by_address=self.limits.proofs_by_network,
            by_session=self.limits.proofs,
            mails=self.limits.proof_mails,
        )

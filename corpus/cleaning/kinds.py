"""The kinds of secrets and of personal data, and the record of one that was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of findings. The words stand in ``stats.json``."""

    EMAIL = "email"
    PHONE = "phone"
    IP_ADDRESS = "ip_address"
    HOME_FOLDER = "home_folder"
    PROVIDER_KEY = "provider_key"
    PRIVATE_KEY = "private_key"
    JSON_WEB_TOKEN = "json_web_token"
    CONNECTION_PASSWORD = "connection_password"
    ASSIGNED_SECRET = "assigned_secret"
    DETECT_SECRETS = "detect_secrets"

    @property
    def is_personal(self) -> bool:
        """True for personal data, false for secrets."""
        return self in (Kind.EMAIL, Kind.PHONE, Kind.IP_ADDRESS, Kind.HOME_FOLDER)

    @property
    def words(self) -> str:
        """The name for people."""
        return WORDS[self]


WORDS = {
    Kind.EMAIL: "e-mail addresses",
    Kind.PHONE: "phone numbers",
    Kind.IP_ADDRESS: "IP addresses",
    Kind.HOME_FOLDER: "names of home folders",
    Kind.PROVIDER_KEY: "keys of providers",
    Kind.PRIVATE_KEY: "private keys",
    Kind.JSON_WEB_TOKEN: "JSON web tokens",
    Kind.CONNECTION_PASSWORD: "passwords in URLs",
    Kind.ASSIGNED_SECRET: "assigned secrets",
    Kind.DETECT_SECRETS: "secrets by detect-secrets' patterns",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A stretch of a text that is secret or personal.

    Attributes:
        kind: what it is.
        start, end: its first character, and the one behind its last.
        fake: what is written in its place.
    """

    kind: Kind
    start: int
    end: int
    fake: str

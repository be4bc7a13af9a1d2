"""Addresses of folders that lie in a cloud's object store: `s3://bucket/prefix`, `gs://...`, `az://container/...`."""

from __future__ import annotations

import configparser
import re
import unicodedata
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import ItemError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
CREDENTIALS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION), or name a profile of ~/.aws/credentials in AWS_PROFILE.",
    "gs": "Name a key file in GOOGLE_APPLICATION_CREDENTIALS, or sign in with `gcloud auth application-default login`.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or sign in with `az login` and set AZURE_USE_AZURE_CLI=true.",
}
"""What each provider's own settings are; Ondol keeps none of them."""


@dataclass(frozen=True)
class Address:
    """A bucket (or container), and what the keys in it begin with: no slash at either end, empty for all."""

    scheme: str
    bucket: str
    prefix: str

    @property
    def name(self) -> str:
        """The address as its source is called."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    def id(self, key: str) -> str:
        """The id of an object: its whole address, in NFC."""
        return unicodedata.normalize("NFC", f"{self.scheme}://{self.bucket}/{key}")


def is_remote(text: str) -> bool:
    """Whether this is an address and no path. A drive of Windows begins a path, and so does `file://`, which `local` takes apart."""
    found = _SCHEME.match(text)
    return found is not None and found[1].lower() != "file"


def local(text: str) -> Path:
    """A path of this machine as somebody typed it, or as a `file://` address."""
    if text.lower().startswith("file://"):
        from urllib.request import url2pathname

        return Path(url2pathname(urllib.parse.urlsplit(text).path))
    return Path(text)


def parse(text: str) -> Address:
    """The address. ItemError: no such provider, no bucket, or a password in it."""
    scheme, _, rest = text.strip().partition("://")
    scheme = scheme.lower()
    if scheme not in CREDENTIALS:
        raise ItemError(f"begins with {scheme}://, which Ondol can't read.", hint="Readable are s3://, gs:// and az://.")
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or ":" in bucket:
        raise ItemError("has a user or a password in it.", hint=f"Leave them out. {CREDENTIALS[scheme]}")
    if not bucket:
        raise ItemError("names no bucket.", hint=f"Write {scheme}://BUCKET/PREFIX.")
    return Address(scheme, bucket, prefix.strip("/"))


def aws_settings(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """What the files under ~/.aws say, as far as the environment doesn't: the object store's library reads the environment alone."""
    found: dict[str, str] = {}
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        found["endpoint"] = endpoint
    if environ.get("AWS_ACCESS_KEY_ID"):
        return found
    profile = environ.get("AWS_PROFILE") or "default"
    files = configparser.RawConfigParser()
    try:
        files.read(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials", encoding="utf-8")
        config = configparser.RawConfigParser()
        config.read(environ.get("AWS_CONFIG_FILE") or home / ".aws" / "config", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise ItemError(f"can't be opened: the files under ~/.aws can't be read ({error}).", hint="Repair them.") from None
    if files.has_section(profile):
        names = {"aws_access_key_id": "access_key_id", "aws_secret_access_key": "secret_access_key", "aws_session_token": "session_token"}
        found |= {name: files.get(profile, key) for key, name in names.items() if files.has_option(profile, key)}
    section = profile if profile == "default" else f"profile {profile}"
    if config.has_option(section, "region") and not (environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")):
        found["region"] = config.get(section, "region")
    return found

"""Secrets by reference: what a reference looks like, where its secret is, and which ones are absent.

`environment` is the edge: the only place that reads the process's environment or a secret's file. Everything else takes
a `Lookup`, so that tests and checks need neither. A secret's value leaves this module only inside `Secrets`, whose text
form shows no values; messages name references, never what they refer to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

import msgspec
from typing_extensions import override

from runtime.config.plan import Plan, Proxy, SecretRef
from runtime.config.position import read_span
from runtime.errors import ConfigError
from runtime.source import Diagnostic, Diagnostics, Severity

__all__ = [
    "Lookup", "MissingSecret", "Secrets", "check_secrets", "demand", "environment", "mask", "read_reference",
    "resolve_secrets", "with_stored",
]  # fmt: skip

Lookup: TypeAlias = Callable[[SecretRef], str | None]
"""The secret behind a reference, or None when there is none. An empty secret is none."""

Kind: TypeAlias = Literal["connection", "key", "url", "proxy"]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_FILE: Final = re.compile(r"file:(\S.*)")
_STORED: Final = re.compile(r"stored:([0-9a-f]{32})")
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class MissingSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A configured secret that cannot be used. ``entity`` is a plan path (`providers.openai.connections.main`)."""

    entity: str
    reference: SecretRef
    reason: str


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan's references resolved to.

    ``connections`` maps each usable connection to its credential, None where it needs none; one that is absent is dark.
    ``keys`` maps a client key's id to the key, for those configured by reference, ``urls`` a setting (`store.url`) to the
    URL behind it, ``proxies`` a connection to the URL of its proxy with the password in it. ``dark`` says of each connection
    that has no credential what is wrong with it. ``missing`` are references of what was configured by hand; a discovered
    connection without its variable is merely dark, and one that is not enabled wants nothing.
    """

    connections: dict[str, str | None]
    keys: dict[str, str]
    urls: dict[str, str] = {}
    proxies: dict[str, str] = {}
    dark: dict[str, str] = {}
    missing: tuple[MissingSecret, ...] = ()

    @override
    def __repr__(self) -> str:
        known = {"connections": sorted(self.connections), "keys": sorted(self.keys), "urls": sorted(self.urls)}
        return f"Secrets({known}, missing={self.missing})"


def read_reference(text: str) -> SecretRef | None:
    """`${NAME}`, `file:path` or `stored:id` as a reference; None for anything else."""
    if found := _VARIABLE.fullmatch(text):
        return SecretRef(env=found[1])
    if found := _FILE.fullmatch(text):
        return SecretRef(file=found[1])
    if found := _STORED.fullmatch(text):
        return SecretRef(stored=found[1])
    return None


def with_stored(look_up: Lookup, stored: Mapping[str, str]) -> Lookup:
    """``look_up``, and what the store holds: ``stored`` maps ids to secrets."""
    return lambda reference: look_up(reference) if reference.stored is None else stored.get(reference.stored)


def environment(root: Path, variables: Mapping[str, str] | None = None) -> Lookup:
    """Look secrets up in the process's environment (or in ``variables``) and in files, relative ones below ``root``."""
    values = os.environ if variables is None else variables

    def look_up(reference: SecretRef) -> str | None:
        if reference.env is not None:
            return values.get(reference.env, "").strip() or None
        if reference.stored is not None:
            return None
        path = root / str(reference.file)
        try:
            return (path.read_text("utf-8").strip() or None) if path.is_file() else None  # a pipe would be waited for
        except (OSError, UnicodeDecodeError):
            return None

    return look_up


def resolve_secrets(plan: Plan, look_up: Lookup) -> Secrets:
    """Resolve every reference of ``plan``. Never raises: what is missing is listed."""
    connections: dict[str, str | None] = {
        id_: None for id_, connection in plan.connections.items() if connection.secret is None
    }
    keys: dict[str, str] = {}
    urls: dict[str, str] = {}
    passwords: dict[str, str] = {}
    dark: dict[str, str] = {}
    missing: list[MissingSecret] = []
    for kind, id_, entity, reference, wanted in _references(plan):
        secret = look_up(reference)
        reason = _absence(reference) if secret is None else _complaint(secret)
        if reason is not None and kind == "connection":
            dark[id_] = reason
        if secret is not None and reason is None:
            match kind:
                case "connection":
                    connections[id_] = secret
                case "key":
                    keys[id_] = secret
                case "url":
                    urls[id_] = secret
                case "proxy":
                    passwords[id_] = secret
        elif wanted:
            missing.append(MissingSecret(entity=entity, reference=reference, reason=reason or _absence(reference)))
    ordered = {id_: connections[id_] for id_, each in plan.connections.items() if id_ in connections and each.enabled}
    proxies = {
        id_: url
        for id_, connection in plan.connections.items()
        if (url := _through(connection.proxy, passwords.get(id_))) is not None
    }
    once = tuple({(item.entity, item.reference): item for item in missing}.values())
    return Secrets(connections=ordered, keys=keys, urls=urls, proxies=proxies, dark=dark, missing=once)


def _through(proxy: Proxy | None, password: str | None) -> str | None:
    """The URL of ``proxy`` with what it asks for."""
    if proxy is None:
        return None
    scheme, _, host = proxy.url.partition("://")
    if proxy.username is None:
        return proxy.url
    secret = "" if password is None else f":{quote(password, safe='')}"
    return f"{scheme}://{quote(proxy.username, safe='')}{secret}@{host}"


def demand(secrets: Secrets) -> None:
    """Raise ConfigError, naming every reference at once, when something that was configured has no secret."""
    if secrets.missing:
        found = "; ".join(f"{item.reference} {item.reason} ({item.entity})" for item in secrets.missing)
        raise ConfigError(f"secrets are missing: {found}")


def check_secrets(
    plan: Plan, origins: Mapping[str, str], look_up: Lookup, severity: Severity = Severity.WARNING
) -> tuple[Diagnostic, ...]:
    """Name what is missing here and now. ``origins`` is `Artefact.origins`: where each entity was written."""
    diagnostics = Diagnostics()
    report = diagnostics.warn if severity is Severity.WARNING else diagnostics.error
    for item in resolve_secrets(plan, look_up).missing:
        what, hint = _mending(item.reference)
        message = f"{what} behind {item.reference} {item.reason}; {item.entity} cannot be used without it"
        report("missing-secret", read_span(origins.get(item.entity, "gateway.yaml:1:1")), message, hint)
    return tuple(diagnostics)


def mask(secret: str) -> str:
    """``secret`` as it may be shown: its last four characters where it is long enough to stay unguessable."""
    return f"…{secret[-4:]}" if len(secret) >= 20 else "…"


def _references(plan: Plan) -> Iterator[tuple[Kind, str, str, SecretRef, bool]]:
    """What each is for, its id, its entity, where it is, and whether it is missed where it is not there."""
    for id_, connection in plan.connections.items():
        if connection.secret is not None:
            entity = f"providers.{connection.provider}.connections.{id_.removeprefix(connection.provider + '/')}"
            yield "connection", id_, entity, connection.secret, connection.enabled and not connection.discovered
        if connection.proxy is not None and connection.proxy.password is not None:
            yield "proxy", id_, "proxy", connection.proxy.password, connection.enabled
    for key in plan.keys:
        if key.secret is not None:
            yield "key", key.id, f"keys.{key.id}", key.secret, True
    for setting, written in (("store.url", plan.store.url), ("shared.url", plan.shared.url)):
        if written is not None and (reference := read_reference(written)) is not None:
            yield "url", setting, setting.partition(".")[0], reference, True


def _absence(reference: SecretRef) -> str:
    if reference.stored is not None:
        return "is not in the store"
    return "is not set" if reference.env else "cannot be read"


def _mending(reference: SecretRef) -> tuple[str, str]:
    """What is absent, and what to do."""
    if reference.stored is not None:
        return "the secret", "give it again with the management API"
    if reference.env:
        return "the variable", f"set {reference.env}"
    return "the file", f"write the secret to {reference.file}"


def _complaint(secret: str) -> str | None:
    """Why a secret cannot be sent in a header, or None."""
    if _UNPRINTABLE.search(secret):
        return "holds a line break or another character that no header can carry"
    return None

"""The plan: what a gateway does, complete, immutable, printable. Made by `compile_plan`, hashed to the build id.

Secrets are not in it, only their names. Positions are beside it, not in it: moving a line does not make a new build.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from typing_extensions import override

from generated.config import (
    AuditSettings,
    AutoFactors,
    BackupSettings,
    BreakerSettings,
    CacheSettings,
    ConnectionLimit,
    CooldownSettings,
    ExplainSettings,
    HedgeSettings,
    IdempotencySettings,
    LedgerSettings,
    LimitSettings,
    LoggingSettings,
    LoginSettings,
    RequestSettings,
    ResponseSettings,
    RetrySettings,
    ServerSettings,
    SessionSettings,
    SharedSettings,
    StoreSettings,
    TargetConditions,
    TimeoutSettings,
)
from runtime.catalog import Capability, Endpoint, Model, Provider
from runtime.window import Limit

__all__ = [
    "DEFAULT_TENANT",
    "LOCAL_EMBEDDING",
    "Artefact",
    "Combo",
    "Connection",
    "Key",
    "Member",
    "Pattern",
    "Plan",
    "PlannedModel",
    "PlannedTarget",
    "Policy",
    "Proxy",
    "Route",
    "SecretRef",
    "SessionMode",
    "Tenant",
]  # fmt: skip

SessionMode: TypeAlias = Literal["named", "derived", "off"]

DEFAULT_TENANT: Final = "default"
"""Whoever runs the gateway: whose keys are nobody else's."""

LOCAL_EMBEDDING: Final = "local"
"""Where a model for embeddings is named: the one in the gateway's own process."""


class SecretRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a secret is: an environment variable, a file, or the store under an id. Never the secret."""

    env: str | None = None
    file: str | None = None
    stored: str | None = None

    @override
    def __str__(self) -> str:
        if self.stored:
            return f"stored:{self.stored}"
        return f"${{{self.env}}}" if self.env else f"file:{self.file}"


class Proxy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A proxy that requests go through, and who goes through it where it asks."""

    url: str
    username: str | None = None
    password: SecretRef | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One credential of a provider. ``discovered`` connections exist only where their variable is set.

    ``base_url`` is complete: variables filled in. ``secret`` is None where the provider wants none. ``max_in_flight`` is
    how many requests it may be answering at once, None: any number; ``limits`` what it may use in a time. One that is not
    ``enabled`` is there for combos to name, and is dark.
    """

    id: str
    provider: str
    base_url: str
    secret: SecretRef | None = None
    discovered: bool = False
    headers: dict[str, str] = {}
    max_in_flight: int | None = None
    limits: tuple[ConnectionLimit, ...] = ()
    proxy: Proxy | None = None
    enabled: bool = True


class PlannedTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place a request can go. ``model`` is the public id, a key of `Plan.models` (but see `runtime.config.resolve`).

    ``connections`` are keys of `Plan.connections`, first choice first. ``path`` is the chain of names from the route to the
    model, both included.
    """

    model: str
    connections: tuple[str, ...]
    path: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A public name and its targets, as they are written. ``path`` is the chain of names it was resolved through.

    ``combo`` is the key in `Plan.combos` of the combo it is or leads to: that one says in which order they are tried.

    ``promises`` is what every target has, or is promised to have; ``context`` the tokens that every target takes, None
    when that is not known of all.
    """

    name: str
    kind: Literal["model", "alias", "combo"]
    endpoint: Endpoint
    targets: tuple[PlannedTarget, ...]
    promises: tuple[Capability, ...] = ()
    context: int | None = None
    path: tuple[str, ...] = ()
    combo: str | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One target of a combo as its strategy sees it: a ``model`` by its public id, or another ``combo`` as a whole.

    ``connection`` is the id (without its provider) of the one connection to use, for all models below. ``weight`` is None
    when not given.
    """

    model: str | None = None
    combo: str | None = None
    connection: str | None = None
    weight: int | None = None
    when: TargetConditions | None = None


class Combo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a combo orders its targets. Members that are combos keep their own order inside; none contains itself."""

    name: str
    members: tuple[Member, ...]
    strategy: str = "priority"
    factors: AutoFactors | None = None
    refusals: Literal["pass", "next"] = "pass"
    sessions: SessionMode | None = None
    handoff_percent: int = 100
    rescue: Literal["none", "splice", "buffer"] = "none"
    buffer_limit_bytes: int = 8 << 20
    hedge: HedgeSettings | None = None
    limits: tuple[Limit, ...] = ()


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """A wildcard alias, or a provider that takes any model's name: `claude-*` to `anthropic/claude-*`.

    Tried in order, the most specific first, when no route has the name. ``target`` may hold one `*`, which stands for what
    the pattern's matched.
    """

    pattern: str
    target: str


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A client's key: its HMAC-SHA-256 (hex) as configured, or a reference to the key itself.

    ``models`` are public names or patterns; empty means all. ``pins`` are the connections it may demand, or patterns of them.
    """

    id: str
    scopes: tuple[str, ...]
    hash: str | None = None
    secret: SecretRef | None = None
    models: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    tenant: str = DEFAULT_TENANT
    limits: tuple[Limit, ...] = ()


class Tenant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom keys belong to. ``name`` is what people call it, ``limits`` what all of its keys may use together."""

    name: str
    limits: tuple[Limit, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of the calls whose key, tenant and model fit; empty fits all. ``count`` says for whom the limits hold."""

    keys: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] = ()
    count: Literal["key", "tenant", "together"] = "key"
    limits: tuple[Limit, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that serving needs. ``providers`` and ``models`` hold what the routes use.

    A provider's ``surfaces`` here are those this release can speak, its ``models`` are empty: facts are in ``models``.
    ``provider_timeouts`` holds complete limits for the providers that have their own, ``connection_strategies`` how the
    connections of a provider are ordered where that is not `fill-first`, ``provider_sessions`` what makes a session where a provider has it otherwise. ``egress`` are the hosts, with a port where it is
    not the scheme's, that requests can go to. ``unlisted`` are models that no list shows.
    """

    version: int
    server: ServerSettings
    requests: RequestSettings
    timeouts: TimeoutSettings
    logging: LoggingSettings
    providers: dict[str, Provider]
    models: dict[str, PlannedModel]
    connections: dict[str, Connection]
    routes: dict[str, Route]
    patterns: tuple[Pattern, ...] = ()
    keys: tuple[Key, ...] = ()
    provider_timeouts: dict[str, TimeoutSettings] = {}
    egress: tuple[str, ...] = ()
    responses: ResponseSettings = ResponseSettings()
    combos: dict[str, Combo] = {}
    connection_strategies: dict[str, str] = {}
    retries: RetrySettings = RetrySettings()
    cooldowns: CooldownSettings = CooldownSettings()
    breakers: BreakerSettings = BreakerSettings()
    explain: ExplainSettings = ExplainSettings()
    provider_sessions: dict[str, SessionMode] = {}
    sessions: SessionSettings = SessionSettings()
    store: StoreSettings = StoreSettings()
    shared: SharedSettings = SharedSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    cache: CacheSettings = CacheSettings()
    unlisted: tuple[str, ...] = ()
    ledger: LedgerSettings = LedgerSettings()
    tenants: dict[str, Tenant] = {}
    audit: AuditSettings = AuditSettings()
    policies: dict[str, Policy] = {}
    limits: LimitSettings = LimitSettings()
    meters: dict[str, int] = {}
    login: LoginSettings = LoginSettings()
    backups: BackupSettings = BackupSettings()


class PlannedModel(msgspec.Struct, frozen=True, kw_only=True):
    """``id`` is the public one, `provider/model`."""

    id: str
    provider: str
    facts: Model


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """What ``plan.json`` holds. ``build`` is the plan's id. ``origins`` maps an entity (`combos.smart`) to its position in the sources."""

    build: str
    compiler: str
    plan: Plan
    origins: dict[str, str] = {}

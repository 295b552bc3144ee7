"""Settings and facts do not drift apart, and the shipped files are sound."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from generated import config
from runtime.catalog import (
    Auth,
    Capability,
    Endpoint,
    Limits,
    Model,
    ParameterRules,
    Prices,
    Provider,
    Quirks,
    Range,
    ReasoningFacts,
    Surface,
)
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.protocol import USUAL
from runtime.config.resolve import resolve
from runtime.config.secrets import environment, resolve_secrets

ROOT = Path(__file__).parents[2]


def fields(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize(
    ("settings", "facts", "left_out"),
    [
        (config.QuirkSettings, Quirks, set()),
        (config.AuthSettings, Auth, {"env"}),
        (config.SurfaceSettings, Surface, set()),
        (config.PriceSettings, Prices, set()),
        (config.ReasoningSettings, ReasoningFacts, set()),
        (config.RangeSettings, Range, set()),
        (config.ParameterSettings, ParameterRules, set()),
        (config.ProviderTimeouts, config.TimeoutSettings, {"body_read", "client_write", "early_head", "keep_alive"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_fact_can_be_overridden(
    settings: type[msgspec.Struct], facts: type[msgspec.Struct], left_out: set[str]
) -> None:
    assert fields(facts) - left_out == fields(settings)


def test_every_fact_of_a_model_can_be_overridden() -> None:
    assert fields(Model) - {"id", "limits", "released"} | fields(Limits) | {"listed"} == fields(config.ModelSettings)


def test_every_fact_of_a_provider_can_be_overridden() -> None:
    ours = {"connections", "connections_strategy", "sessions", "timeouts", "proxy"}
    catalogue_only = {"id", "variables", "website", "source", "notes"}

    assert fields(Provider) - catalogue_only | ours == fields(config.ProviderSettings)


def _choices(path: str) -> list[str]:
    struct, field = path.split(".")
    type_ = next(item.type for item in msgspec.structs.fields(getattr(config, struct)) if item.name == field)
    info = msgspec.inspect.type_info(type_)
    while not isinstance(info, msgspec.inspect.LiteralType):
        info = info.types[0] if isinstance(info, msgspec.inspect.UnionType) else info.item_type  # type: ignore[attr-defined]
    return sorted(str(value) for value in info.values)


@pytest.mark.parametrize(
    "path", ["ComboSettings.promises", "ModelSettings.has", "ModelSettings.lacks", "ProviderSettings.assume"]
)
def test_capabilities_are_those_of_the_catalogue(path: str) -> None:
    assert sorted(capability.value for capability in Capability) == _choices(path)


def test_endpoints_are_those_of_the_catalogue() -> None:
    assert sorted(endpoint.value for endpoint in Endpoint) == _choices("ModelSettings.endpoint")


def test_every_setting_says_what_it_does_and_secrets_are_marked() -> None:
    assert [] == [setting.path for setting in config.SETTINGS if not setting.help]
    proxies = {f"{place}proxy.password" for place in ("", "providers.*.", "providers.*.connections.*.")}
    assert {"keys.*.key", "providers.*.connections.*.key", "store.url", "shared.url"} | proxies == {
        item.path for item in config.SETTINGS if item.secret
    }


def test_every_protocol_that_is_spoken_has_facts() -> None:
    for protocol in USUAL:
        assert (ROOT / "schemas" / "protocols" / f"{protocol}.yaml").is_file()


def test_shipped_configuration_has_no_complaint_and_answers_without_a_key() -> None:
    result = compile_plan([Source(MAIN, (ROOT / MAIN).read_bytes())], Catalog.shipped())
    assert () == result.diagnostics
    assert result.plan is not None
    secrets = resolve_secrets(result.plan, environment(ROOT, {}))
    route = resolve(result.plan, "default")

    assert () == secrets.missing
    assert {"sim/default": None} == secrets.connections
    assert route is not None
    assert ("sim/default",) == route.targets[0].connections


def test_shipped_configuration_shows_every_section() -> None:
    text = (ROOT / MAIN).read_text()

    assert [] == [name for name in fields(config.GatewayConfig) if f"\n{name}:" not in text]


def test_shipped_configuration_uncommented_has_no_error() -> None:
    """What stands in comments works too: examples that do not are worse than none."""
    text = re.sub(r"(?m)^  # ", "  ", (ROOT / MAIN).read_text())
    text = re.sub(r"(?m)^(\w+): \{\}$", r"\1:", text).replace("hmac-sha256:…", f"hmac-sha256:{'0' * 64}")
    result = compile_plan([Source(MAIN, text.encode())], Catalog.shipped())

    assert [] == [str(item) for item in result.diagnostics]


def test_every_provider_of_the_shipped_catalogue_compiles_when_it_is_configured() -> None:
    catalog = Catalog.shipped()
    lines = ["version: 1", "discovery: {providers: none}", "providers:"]
    for id_ in catalog.ids:
        provider = catalog.load(id_)
        variables = ", ".join(f"{name}: x" for name in provider.variables)
        lines.append(f"  {id_}:")
        key = "" if provider.auth.scheme == "none" else ', key: "${A_KEY}"'
        lines.append(f"    connections: [{{id: main{key}, variables: {{{variables}}}}}]")
    result = compile_plan([Source(MAIN, "\n".join(lines).encode())], catalog)

    assert result.plan is not None, [str(item) for item in result.diagnostics]
    assert set(catalog.ids) >= set(result.plan.providers)


PROXY = 'proxy: {url: "http://proxy.example.com:3128", username: me, password: "SECRET"}'
SECRETS = {
    "keys.*.key": 'keys: {ci: {key: "SECRET"}}',
    "providers.*.connections.*.key": 'providers: {openai: {connections: [{id: main, key: "SECRET"}]}}',
    "providers.*.connections.*.proxy.password": (
        f'providers: {{openai: {{connections: [{{id: main, key: "${{KEY}}", {PROXY}}}]}}}}'
    ),
    "providers.*.proxy.password": f"providers: {{openai: {{{PROXY}}}}}",
    "proxy.password": PROXY,
    "shared.url": 'shared: {url: "SECRET"}',
    "store.url": 'store: {url: "SECRET"}',
}


def test_every_secret_of_the_schema_is_one_of_these() -> None:
    assert {*SECRETS} == {setting.path for setting in config.SETTINGS if setting.secret}


@pytest.mark.parametrize("path", SECRETS)
def test_a_secret_in_clear_is_refused_wherever_one_belongs(path: str) -> None:
    def found(secret: str) -> list[str]:
        text = f"version: 1\n{SECRETS[path].replace('SECRET', secret)}\n"
        compiled = compile_plan([Source(MAIN, text.encode())], Catalog.shipped())
        assert "hunter2hunter2" not in "".join(map(str, compiled.diagnostics))
        return [item.code for item in compiled.diagnostics if item.severity == "error"]

    assert ["secret-in-clear"] == found("scheme://user:hunter2hunter2@host/x")
    assert ["bad-reference"] == found("$THE_SECRET")
    assert [] == found("${THE_SECRET}")

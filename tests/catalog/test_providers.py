"""What must hold of every file under schemas/providers, whoever writes it and whatever the compiler makes of it."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from runtime.catalog import Capability, Endpoint, Model, ParameterRules, Prices, Provider, ReasoningFacts
from runtime.protocols import CODECS, EMBEDDERS
from runtime.source import NANO_USD, Diagnostics, MappingNode, decode, parse
from tests.support.each import each

FOLDER = Path(__file__).resolve().parents[2] / "schemas" / "providers"
FILES = sorted(FOLDER.glob("*.yaml"))
IDS = [path.stem for path in FILES]

SCHEMA_LINE = "# yaml-language-server: $schema=../../generated/jsonschema/provider.json"
PROTOCOLS = {*CODECS, *EMBEDDERS}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
MAX_USD = 1000
OLDEST_PRICE = date(2026, 1, 1)

# The fields of a request in each protocol, and what single vendors call a field of their own.
CHAT_FIELDS = {
    "audio", "client_metadata", "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
    "messages", "metadata", "modalities", "model", "n", "parallel_tool_calls", "prediction", "presence_penalty",
    "prompt_cache_key", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop",
    "store", "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user",
    "verbosity", "web_search_options",
}  # fmt: skip
MESSAGES_FIELDS = {
    "cache_control", "container", "context_management", "inference_geo", "max_tokens", "mcp_servers", "messages",
    "metadata", "model", "output_config", "service_tier", "stop_sequences", "stream", "system", "temperature",
    "thinking", "tool_choice", "tools", "top_k", "top_p",
}  # fmt: skip
VENDOR_FIELDS = {"random_seed"}
KNOWN_FIELDS = CHAT_FIELDS | MESSAGES_FIELDS | VENDOR_FIELDS
EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


@cache
def read(path: Path) -> tuple[Provider | None, tuple[str, ...]]:
    """The provider that a file describes, and what the readers have to say about it."""
    diagnostics = Diagnostics()
    node = parse(path.read_bytes(), path.name, diagnostics)
    assert isinstance(node, MappingNode)
    facts = MappingNode(tuple(entry for entry in node.entries if entry.key != "version"), node.span)
    provider = decode(facts, Provider, diagnostics, "provider")
    return provider, tuple(str(item) for item in diagnostics)


def load(path: Path) -> Provider:
    provider, said = read(path)
    assert provider is not None, said
    return provider


def each_provider(check: Callable[[Provider], None]) -> Callable[[], None]:
    @each(FILES)
    def test(path: Path) -> None:
        check(load(path))

    return test


def rules_of(provider: Provider) -> list[ParameterRules]:
    return [provider.parameters, *(model.parameters for model in provider.models)]


def priced(provider: Provider) -> list[tuple[Model, Prices]]:
    return [(model, model.prices) for model in provider.models if model.prices is not None]


def amounts(prices: Prices) -> dict[str, int]:
    return {name: value for name, value in msgspec.structs.asdict(prices).items() if isinstance(value, int)}


# -- the files


@each(FILES)
def test_file_decodes_without_a_diagnostic(path: Path) -> None:
    provider, said = read(path)

    assert said == ()
    assert provider is not None


@each(FILES)
def test_file_begins_with_the_schema_line_and_its_version(path: Path) -> None:
    assert path.read_text(encoding="utf-8").splitlines()[:2] == [SCHEMA_LINE, "version: 1"]


@each(FILES)
def test_keys_stand_in_the_order_of_the_struct(path: Path) -> None:
    node = parse(path.read_bytes(), path.name, Diagnostics())
    assert isinstance(node, MappingNode)
    keys = [entry.key for entry in node.entries]

    assert [key for key in ("version", *Provider.__struct_fields__) if key in keys] == keys


@each(FILES)
def test_id_is_the_name_of_the_file(path: Path) -> None:
    assert path.stem == load(path).id


def test_at_least_fifty_providers_and_the_simulated_one_are_described() -> None:
    assert len([name for name in IDS if name != "sim"]) >= 50
    assert "sim" in IDS


# -- where they are and how they are asked


@each_provider
def test_base_url_is_https_unless_the_server_is_local(provider: Provider) -> None:
    url = urlsplit(provider.base_url)
    expected = {"sim"} if provider.id == "sim" else {"http"} if provider.local else {"https"}

    assert url.scheme in expected
    assert not provider.base_url.endswith("/")
    if url.scheme == "http":
        assert url.hostname in LOOPBACK


@each_provider
def test_variables_are_exactly_the_gaps_of_the_base_url(provider: Provider) -> None:
    assert re.findall(r"\{(\w+)\}", provider.base_url) == list(provider.variables)


@each_provider
def test_surfaces_speak_known_protocols_at_absolute_paths(provider: Provider) -> None:
    assert provider.surfaces
    assert set(provider.surfaces) <= PROTOCOLS
    for surface in provider.surfaces.values():
        assert surface.path.startswith("/")
        assert surface.count_tokens is None or surface.count_tokens.startswith("/")


@each_provider
def test_anthropic_surfaces_pin_the_api_version(provider: Provider) -> None:
    surface = provider.surfaces.get("anthropic_messages")

    assert surface is None or surface.version == "2023-06-01"


@each_provider
def test_a_wanted_key_has_a_customary_variable(provider: Provider) -> None:
    if provider.auth.scheme == "key":
        assert provider.auth.env
    for name in provider.auth.env:
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", name)


def test_no_two_providers_read_the_same_variable() -> None:
    """One key in the environment must not be sent to two vendors."""
    count = Counter(name for path in FILES for name in load(path).auth.env)

    assert [name for name, times in count.items() if times > 1] == []


@each_provider
def test_headers_carry_no_credential_and_imitate_no_client(provider: Provider) -> None:
    forbidden = {"authorization", "cookie", "user-agent", "x-api-key", "api-key", "anthropic-beta", "x-app"}

    assert set() == forbidden & {name.lower() for name in provider.headers}


@each_provider
def test_the_pattern_of_tool_call_ids_compiles_and_can_be_met(provider: Provider) -> None:
    pattern = provider.quirks.tool_call_id

    assert pattern is None or re.fullmatch(pattern, "a1B2c3D4e")


@each_provider
def test_only_providers_that_list_no_model_or_say_so_are_open(provider: Provider) -> None:
    """A provider without models would serve nothing if it did not take names as they come."""
    assert provider.models or provider.open_models
    if provider.open_models:
        assert Capability.STREAMING in provider.assume


# -- parameters


@each_provider
def test_parameter_rules_name_known_fields(provider: Provider) -> None:
    for rules in rules_of(provider):
        named = {*rules.drop, *rules.rename, *rules.rename.values(), *rules.range, *rules.add}
        named |= {field for group in rules.exclusive for field in group}

        assert set() == named - KNOWN_FIELDS


@each_provider
def test_parameter_rules_do_not_contradict_themselves(provider: Provider) -> None:
    for rules in rules_of(provider):
        assert len(set(rules.drop)) == len(rules.drop)
        assert set() == set(rules.drop) & {*rules.rename, *rules.range, *rules.add}
        for span in rules.range.values():
            assert span.min is None or span.max is None or span.min <= span.max
        for group in rules.exclusive:
            assert len(group) >= 2


@each_provider
def test_store_reaches_nobody_but_openai(provider: Provider) -> None:
    if "openai_chat" in provider.surfaces and provider.id not in {"openai", "azure-openai", "sim"}:
        assert "store" in (*provider.parameters.drop, *provider.surfaces["openai_chat"].parameters.drop)


# -- models


@each_provider
def test_model_ids_are_unique_within_their_provider(provider: Provider) -> None:
    count = Counter(model.id for model in provider.models)

    assert [name for name, times in count.items() if times > 1] == []


@each_provider
def test_a_model_never_both_has_and_lacks(provider: Provider) -> None:
    for model in provider.models:
        assert set() == set(model.has) & set(model.lacks), model.id
        assert len(set(model.has)) == len(model.has)
        assert len(set(model.lacks)) == len(model.lacks)


@each_provider
def test_parallel_tools_imply_tools(provider: Provider) -> None:
    for model in provider.models:
        assert Capability.PARALLEL_TOOLS not in model.has or Capability.TOOLS in model.has, model.id
        assert Capability.TOOLS not in model.lacks or Capability.PARALLEL_TOOLS in model.lacks, model.id


@each_provider
def test_chat_models_are_known_to_stream(provider: Provider) -> None:
    chat = [model for model in provider.models if model.endpoint is Endpoint.CHAT]

    assert [model.id for model in chat if Capability.STREAMING not in model.has] == []


@each_provider
def test_names_are_plain_words(provider: Provider) -> None:
    """No emoji, no price tag, no provider's marketing, and no name that only repeats the id."""
    for model in provider.models:
        if model.name is not None:
            assert model.name.isascii()
            assert model.name != model.id
            assert not re.search(r"\bfree\b|via ", model.name, re.IGNORECASE)


@each_provider
def test_limits_fit_into_the_context(provider: Provider) -> None:
    for model in provider.models:
        limits = model.limits
        for number in (limits.context, limits.max_input, limits.max_output):
            assert number is None or number >= 1024, model.id
        if limits.context is not None:
            assert (limits.max_input or 0) <= limits.context, model.id
            assert (limits.max_output or 0) <= limits.context, model.id


@each_provider
def test_reasoning_facts_belong_to_models_that_reason(provider: Provider) -> None:
    for model in provider.models:
        if model.reasoning is not None:
            assert Capability.REASONING in model.has, model.id
            assert [word for word in EFFORTS if word in model.reasoning.efforts] == list(model.reasoning.efforts)
            assert model.reasoning.efforts or model.reasoning.style == "budget"


@each_provider
def test_released_dates_are_dates(provider: Provider) -> None:
    for model in provider.models:
        assert model.released is None or date.fromisoformat(model.released) >= date(2020, 1, 1)


# -- prices


@each_provider
def test_prices_say_where_and_when_they_were_read(provider: Provider) -> None:
    for model, prices in priced(provider):
        assert prices.source.strip(), model.id
        assert date.fromisoformat(prices.date) >= OLDEST_PRICE, model.id


@each_provider
def test_prices_are_of_a_sane_magnitude(provider: Provider) -> None:
    for model, prices in priced(provider):
        for name, value in amounts(prices).items():
            assert 0 <= value <= MAX_USD * NANO_USD, (model.id, name)


@each_provider
def test_only_the_simulated_provider_is_free(provider: Provider) -> None:
    """A zero that only means "free tier" or "unknown" would make budgets blind."""
    for model, prices in priced(provider):
        free = provider.id == "sim"
        silent = model.endpoint is Endpoint.EMBEDDINGS  # vectors are no tokens

        assert (prices.input == 0, prices.output == 0) == (free, free or silent), model.id


@each_provider
def test_cached_input_costs_no_more_than_fresh_input(provider: Provider) -> None:
    for model, prices in priced(provider):
        assert prices.cache_read is None or prices.cache_read <= prices.input, model.id


@each_provider
def test_longer_cache_writes_cost_no_less_than_shorter_ones(provider: Provider) -> None:
    for model, prices in priced(provider):
        if prices.cache_write_5m is not None and prices.cache_write_1h is not None:
            assert prices.cache_write_5m <= prices.cache_write_1h, model.id


# -- facts that code relies on


def facts(provider_id: str, model_id: str) -> Model:
    models = {model.id: model for model in load(FOLDER / f"{provider_id}.yaml").models}
    return models[model_id]


@pytest.mark.parametrize("model_id", ["claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-5", "claude-fable-5"])
def test_new_claude_models_refuse_sampling_budgets_and_prefill(model_id: str) -> None:
    model = facts("anthropic", model_id)

    assert {"temperature", "top_p", "top_k"} <= set(model.parameters.drop)
    assert model.reasoning is not None
    assert model.reasoning.style == "adaptive"
    assert Capability.PREFILL in model.lacks


@pytest.mark.parametrize("model_id", ["claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"])
def test_claude_4_5_takes_one_sampling_parameter_and_a_budget(model_id: str) -> None:
    model = facts("anthropic", model_id)

    assert model.parameters.exclusive == (("temperature", "top_p"),)
    assert model.reasoning is not None
    assert model.reasoning.style == "budget"
    assert Capability.PREFILL in model.has


@pytest.mark.parametrize("model_id", ["gpt-5.6", "gpt-5.4-mini", "o3", "o4-mini"])
def test_openai_reasoning_models_are_sent_no_sampling_parameters(model_id: str) -> None:
    model = facts("openai", model_id)

    assert {"temperature", "top_p", "logprobs", "stop"} <= set(model.parameters.drop)
    assert Capability.REASONING in model.has


def test_prices_are_converted_exactly() -> None:
    """Decimals of the file arrive as whole nano-dollars."""
    prices = facts("openai", "gpt-4.1-nano").prices

    assert prices is not None
    assert (prices.input, prices.output, prices.cache_read) == (100_000_000, 400_000_000, 25_000_000)


def test_mistral_wants_short_tool_call_ids_and_text_or_calls() -> None:
    quirks = load(FOLDER / "mistral.yaml").quirks

    assert quirks.tool_call_id == "^[a-zA-Z0-9]{9}$"
    assert quirks.content_xor_tool_calls
    assert quirks.assistant_after_results
    assert not quirks.developer_role


def test_deepseek_gets_its_thinking_back() -> None:
    quirks = load(FOLDER / "deepseek.yaml").quirks

    assert (quirks.replay_reasoning, quirks.reasoning_field) == (True, "reasoning_content")


def test_the_simulated_provider_says_what_it_is() -> None:
    sim = load(FOLDER / "sim.yaml")

    assert (sim.base_url, sim.auth.scheme, sim.local) == ("sim://local", "none", True)
    assert [model.id for model in sim.models] == ["echo", "tools", "thinking", "slow", "error"]
    assert list(facts("sim", "echo").has[1:]) == [Capability.VISION, Capability.JSON_OBJECT, Capability.JSON_SCHEMA]
    assert ReasoningFacts() == facts("sim", "thinking").reasoning
    assert all(prices.source == "simulated" for _, prices in priced(sim))

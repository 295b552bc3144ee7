"""A small catalogue with one provider of every kind, so that no test hangs on what vendors sell this week."""

from __future__ import annotations

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
    ReasoningFacts,
    Surface,
)  # fmt: skip
from runtime.config.catalog import Catalog
from runtime.source import NANO_USD

__all__ = ["CATALOG", "PROVIDERS"]

CHAT = {"openai_chat": Surface(path="/chat/completions")}
MESSAGES = {
    "anthropic_messages": Surface(path="/messages", count_tokens="/messages/count_tokens", version="2023-06-01")
}
ALL = (Capability.STREAMING, Capability.TOOLS, Capability.VISION, Capability.JSON_SCHEMA)


def _prices(input_usd: float, output_usd: float) -> Prices:
    return Prices(
        source="a price list",
        date="2026-01-01",
        input=int(input_usd * NANO_USD),
        output=int(output_usd * NANO_USD),
    )


SIM = Provider(
    id="sim",
    name="Simulated",
    base_url="sim://local",
    surfaces=CHAT,
    auth=Auth(scheme="none"),
    local=True,
    models=(
        Model(id="echo", has=(Capability.STREAMING,), lacks=(Capability.TOOLS,), limits=Limits(context=200_000)),
        Model(id="tools", has=(Capability.STREAMING, Capability.TOOLS), limits=Limits(context=200_000)),
    ),
)
OPENAI = Provider(
    id="openai",
    name="OpenAI",
    base_url="https://api.openai.com/v1",
    surfaces={**CHAT, "openai_embeddings": Surface(path="/embeddings")},
    auth=Auth(env=("OPENAI_API_KEY",)),
    quirks=Quirks(max_tokens_field="max_completion_tokens"),
    models=(
        Model(
            id="gpt-5", has=ALL, limits=Limits(context=400_000), prices=_prices(1.25, 10), reasoning=ReasoningFacts()
        ),
        Model(id="gpt-5-mini", has=ALL, limits=Limits(context=400_000), prices=_prices(0.25, 2)),
        Model(id="embed-small", endpoint=Endpoint.EMBEDDINGS, prices=_prices(0.02, 0)),
    ),
)
ANTHROPIC = Provider(
    id="anthropic",
    name="Anthropic",
    base_url="https://api.anthropic.com/v1",
    surfaces=MESSAGES,
    auth=Auth(header="x-api-key", prefix="", env=("ANTHROPIC_API_KEY",)),
    models=(
        Model(
            id="claude-sonnet",
            has=(*ALL, Capability.PROMPT_CACHE),
            lacks=(Capability.LOGPROBS,),
            limits=Limits(context=200_000, max_output=64_000),
            prices=_prices(3, 15),
            parameters=ParameterRules(drop=("top_k",)),
        ),
        Model(id="claude-haiku", has=ALL, limits=Limits(context=200_000), prices=_prices(1, 5)),
    ),
)
DEEPSEEK = Provider(
    id="deepseek",
    name="DeepSeek",
    base_url="https://api.deepseek.com",
    surfaces={**CHAT, **MESSAGES},
    auth=Auth(env=("DEEPSEEK_API_KEY",)),
    models=(
        Model(
            id="chat",
            has=(Capability.STREAMING, Capability.TOOLS),
            lacks=(Capability.VISION,),
            limits=Limits(context=64_000),
            prices=_prices(0.28, 0.42),
        ),
        Model(id="next"),
    ),
)
MISTRAL = Provider(
    id="mistral",
    name="Mistral",
    base_url="https://api.mistral.ai/v1",
    surfaces=CHAT,
    auth=Auth(env=("MISTRAL_API_KEY", "MISTRAL_KEY")),
    models=(Model(id="large", has=(Capability.TOOLS,)),),
)
AZURE = Provider(
    id="azure",
    name="Azure",
    base_url="https://{resource}.openai.azure.com/openai/v1",
    surfaces=CHAT,
    auth=Auth(header="api-key", prefix="", env=("AZURE_API_KEY",)),
    variables=("resource",),
    open_models=True,
    assume=(Capability.STREAMING, Capability.TOOLS),
)
OLLAMA = Provider(
    id="ollama",
    name="Ollama",
    base_url="http://localhost:11434/v1",
    surfaces=CHAT,
    auth=Auth(scheme="optional_key"),
    open_models=True,
    local=True,
    assume=(Capability.STREAMING,),
)
BEDROCK = Provider(
    id="bedrock",
    name="Bedrock",
    base_url="https://bedrock-runtime.example.com",
    surfaces={"bedrock_converse": Surface(path="/model/{model}/converse")},
    auth=Auth(header="authorization", prefix="", env=("BEDROCK_API_KEY",)),
    models=(Model(id="flash"),),
)
PROVIDERS = (SIM, OPENAI, ANTHROPIC, DEEPSEEK, MISTRAL, AZURE, OLLAMA, BEDROCK)
CATALOG = Catalog.of(PROVIDERS)

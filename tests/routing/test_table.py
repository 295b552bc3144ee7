"""Public names to candidates: which targets can be called, over which connection, in which protocol."""

from __future__ import annotations

import msgspec
import pytest

from generated.config import LoggingSettings, RequestSettings, ServerSettings, TimeoutSettings
from runtime.catalog import Auth, Capability, Endpoint, Model, Provider, Surface
from runtime.config.plan import Connection, Pattern, Plan, PlannedModel, PlannedTarget, Route, SecretRef
from runtime.errors import InvalidRequest, ModelNotFound, RouteUnavailable
from runtime.routing import RouteTable

CHAT = Surface(path="/chat/completions")
MESSAGES = Surface(path="/v1/messages", version="2023-06-01")


def provider(id_: str, **changes: object) -> Provider:
    facts = {"name": id_, "base_url": f"https://{id_}.example/v1/", "surfaces": {"openai_chat": CHAT}} | changes
    return Provider(id=id_, **facts)  # type: ignore[arg-type]


def route(name: str, *models: str, kind: str = "combo", endpoint: Endpoint = Endpoint.CHAT) -> Route:
    targets = tuple(
        PlannedTarget(model=model, connections=(model.partition("/")[0] + "/main",), path=(name,)) for model in models
    )
    return Route(name=name, kind=kind, endpoint=endpoint, targets=targets)  # type: ignore[arg-type]


def plan() -> Plan:
    providers = {
        "alpha": provider("alpha", headers={"X-Title": "t"}),
        "both": provider("both", surfaces={"openai_chat": CHAT, "anthropic_messages": MESSAGES}),
        "keyed": provider("keyed", auth=Auth(header="X-Api-Key", prefix="")),
        "open": provider("open", open_models=True, auth=Auth(scheme="none"), assume=(Capability.TOOLS,)),
    }
    names = ("alpha/small", "both/model", "keyed/model")
    models = {
        id_: PlannedModel(id=id_, provider=id_.partition("/")[0], facts=Model(id=id_.partition("/")[2]))
        for id_ in names
    }
    models["alpha/embed"] = PlannedModel(
        id="alpha/embed", provider="alpha", facts=Model(id="embed", endpoint=Endpoint.EMBEDDINGS)
    )
    connections = {
        f"{id_}/main": Connection(
            id=f"{id_}/main", provider=id_, base_url=each.base_url, secret=SecretRef(env="KEY") if id_ != "open" else None,
            headers={"x-title": "mine"} if id_ == "alpha" else {},
        )
        for id_, each in providers.items()
    }  # fmt: skip
    routes = {name: route(name, name, kind="model") for name in names}
    routes["alpha/embed"] = route("alpha/embed", "alpha/embed", kind="model", endpoint=Endpoint.EMBEDDINGS)
    routes["smart"] = route("smart", "keyed/model", "alpha/small", "both/model")
    return Plan(
        version=1, server=ServerSettings(), requests=RequestSettings(), timeouts=TimeoutSettings(),
        logging=LoggingSettings(), providers=providers, models=models, connections=connections, routes=routes,
        patterns=(Pattern(pattern="open/*", target="open/*"),),
    )  # fmt: skip


ALL = {"alpha/main": "sk-alpha", "both/main": "sk-both", "keyed/main": "sk-keyed", "open/main": None}


def test_order_of_targets_is_priority() -> None:
    found = RouteTable(plan(), ALL).candidates("smart", "openai_chat", Endpoint.CHAT)

    assert ["keyed/model", "alpha/small", "both/model"] == [each.id for each in found]


def test_dark_targets_are_passed_over() -> None:
    lit = {"alpha/main": "sk-alpha"}

    found = RouteTable(plan(), lit).candidates("smart", "openai_chat", Endpoint.CHAT)

    assert ["alpha/small"] == [each.id for each in found]


def test_name_whose_targets_are_all_dark_is_unavailable_not_unknown() -> None:
    with pytest.raises(RouteUnavailable, match="smart"):
        RouteTable(plan(), {}).candidates("smart", "openai_chat", Endpoint.CHAT)


def test_unknown_name_suggests_one_that_can_be_called() -> None:
    with pytest.raises(ModelNotFound, match="did you mean 'smart'") as caught:
        RouteTable(plan(), ALL).candidates("smrt", "openai_chat", Endpoint.CHAT)
    assert caught.value.param == "model"


def test_ambiguous_name_is_refused_with_the_models_that_are_allowed_and_no_more_than_eight() -> None:
    many = {f"p{number:02}": provider(f"p{number:02}") for number in range(20)}
    routes = {f"{id_}/same": route(f"{id_}/same", f"{id_}/same", kind="model") for id_ in many}
    connections = {f"{id_}/main": Connection(id=f"{id_}/main", provider=id_, base_url="https://x") for id_ in many}
    changed = msgspec.structs.replace(plan(), providers=many, routes=routes, connections=connections)
    table = RouteTable(changed, dict.fromkeys(connections))

    with pytest.raises(InvalidRequest, match=r"ambiguous; write one of p00/same, .*, p07/same and 12 more") as caught:
        table.spelt("same", lambda _: True)
    with pytest.raises(InvalidRequest, match=r"write one of p03/same$"):
        table.spelt("same", lambda id_: id_ == "p03/same")
    assert ("model", "ambiguous_model") == (caught.value.param, caught.value.code)
    assert "same" == table.spelt("same", lambda _: False), "who may use none of them is told nothing of them"
    assert "same" == table.public("same")


def test_what_is_too_long_for_a_name_does_not_exist_even_where_any_name_is_taken() -> None:
    table = RouteTable(plan(), ALL)

    assert "open/" + "a" * 900 == table.spelt("open/" + "a" * 900, lambda _: True)
    with pytest.raises(ModelNotFound):
        table.spelt("open/" + "a" * 1000, lambda _: True)
    with pytest.raises(ModelNotFound):
        table.spelt("open/" + "\U00020000" * 250, lambda _: True)


@pytest.mark.parametrize("name", ["open/a\0b", "open/a\r\nb", "open/\udcff", "open/\u202ea"])
def test_what_nobody_sees_is_in_no_name_even_where_any_name_is_taken(name: str) -> None:
    with pytest.raises(ModelNotFound):
        RouteTable(plan(), ALL).spelt(name, lambda _: True)


def test_bare_name_is_spelt_out_where_one_provider_has_it() -> None:
    table = RouteTable(plan(), ALL)

    assert "alpha/small" == table.spelt("small", lambda _: False) == table.public("small")
    assert "smart" == table.spelt("smart", lambda _: True)
    assert "nothing" == table.spelt("nothing", lambda _: True)


def test_model_of_another_endpoint_is_not_found_here() -> None:
    with pytest.raises(ModelNotFound, match="serves embeddings"):
        RouteTable(plan(), ALL).candidates("alpha/embed", "openai_chat", Endpoint.CHAT)


@pytest.mark.parametrize("wanted", ["openai_chat", "anthropic_messages"])
def test_provider_that_speaks_the_clients_protocol_is_spoken_to_in_it(wanted: str) -> None:
    (found,) = RouteTable(plan(), ALL).candidates("both/model", wanted, Endpoint.CHAT)

    assert wanted == found.protocol


def test_provider_that_does_not_is_spoken_to_in_its_first() -> None:
    (found,) = RouteTable(plan(), ALL).candidates("alpha/small", "anthropic_messages", Endpoint.CHAT)

    assert found.protocol == "openai_chat"


def test_credential_travels_in_the_providers_header_with_its_prefix() -> None:
    table = RouteTable(plan(), ALL)

    (alpha,) = table.candidates("alpha/small", "openai_chat", Endpoint.CHAT)
    (keyed,) = table.candidates("keyed/model", "openai_chat", Endpoint.CHAT)
    (free,) = table.candidates("open/anything/at-all", "openai_chat", Endpoint.CHAT)

    assert {"x-title": "mine", "authorization": "Bearer sk-alpha"} == dict(alpha.headers)
    assert {"x-api-key": "sk-keyed"} == dict(keyed.headers)
    assert {} == dict(free.headers)


@pytest.mark.parametrize("name", ["small/../large", "../../files", "..", "./large", "small//large", "small/", "/"])
def test_open_provider_takes_no_name_that_leads_elsewhere_in_a_path(name: str) -> None:
    """Some providers have the model in the URL: a key that may use `open/small*` would reach `large`, or another resource."""
    with pytest.raises(ModelNotFound):
        RouteTable(plan(), ALL).candidates(f"open/{name}", "openai_chat", Endpoint.CHAT)
    (found,) = RouteTable(plan(), ALL).candidates("open/small..large/v1.", "openai_chat", Endpoint.CHAT)
    assert found.target.model.id == "small..large/v1."


def test_open_provider_takes_any_name_with_what_it_assumes() -> None:
    (found,) = RouteTable(plan(), ALL).candidates("open/anything/at-all", "openai_chat", Endpoint.CHAT)

    assert found.target.model == Model(id="anything/at-all", has=(Capability.TOOLS,))
    assert found.base_url == "https://open.example/v1"


def test_listed_are_the_names_that_can_be_called() -> None:
    assert ["alpha/small", "alpha/embed", "smart"] == [
        each.name for each in RouteTable(plan(), {"alpha/main": "k"}).listed()
    ]


@pytest.mark.parametrize("name", ["alpha/small", "alpha/embed", "smart", "open/anything/at-all"])
def test_a_name_is_found_where_it_can_be_called_listed_or_not(name: str) -> None:
    found = RouteTable(plan(), ALL).find(name)

    assert found is not None
    assert name == found.name


@pytest.mark.parametrize("name", ["nope", "keyed/model", "open/anything", "alpha/Small"])
def test_a_name_is_not_found_where_it_does_not_exist_or_has_no_credential(name: str) -> None:
    assert RouteTable(plan(), {"alpha/main": "k"}).find(name) is None


def test_only_the_plans_own_names_are_listed_lit_or_not() -> None:
    table = RouteTable(plan(), {})

    assert [True, False] == [table.lists(name) for name in ("keyed/model", "open/anything")]
    assert ["alpha", "both", "keyed", "open"] == list(table.providers())

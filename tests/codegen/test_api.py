"""What is compiled from `schemas/openapi`: the document, the page, and routers that serve."""

import importlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import msgspec
import pytest
from jsonschema_rs import Draft202012Validator, meta

from codegen.ir import Record
from codegen.ir.operations import Operation
from codegen.passes.rewrite import table
from codegen.pipeline import Compilation, compile_schemas
from tests.codegen.golden import CASES
from tests.codegen.project import ROOT, faults, real

REF = "#/components/schemas/"
STRING, BOOLEAN = {"type": "string"}, {"type": "boolean"}
CONTENT = {"type": "object", "additionalProperties": {"type": "object", "properties": {"schema": {"type": "object"}}}}

# OpenAPI 3.1.0, sections 4.8.1 to 4.8.24, as far as the document goes; nothing else may be in it but extensions.
OPENAPI = {
    "type": "object",
    "required": ["openapi", "info", "paths", "components"],
    "properties": {
        "openapi": {"const": "3.1.0"},
        "info": {"type": "object", "required": ["title", "version"], "additionalProperties": STRING},
        "jsonSchemaDialect": STRING,
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"], "additionalProperties": STRING}},
        "tags": {"type": "array", "items": {"type": "object", "required": ["name"], "additionalProperties": STRING}},
        "paths": {
            "type": "object",
            "patternProperties": {
                "^/": {
                    "type": "object",
                    "patternProperties": {
                        "^(get|post|put|patch|delete|head)$": {"$ref": "#/$defs/operation"},
                        "^x-": {},
                    },
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        },
        "components": {
            "type": "object",
            "properties": {
                "schemas": {
                    "type": "object",
                    "propertyNames": {"pattern": "^[a-zA-Z0-9._-]+$"},
                    "additionalProperties": {"type": "object"},
                },
                "securitySchemes": {"type": "object", "additionalProperties": {"$ref": "#/$defs/scheme"}},
            },
            "additionalProperties": False,
        },
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "$defs": {
        "operation": {
            "type": "object",
            "required": ["operationId", "summary", "tags", "responses", "security", "x-scope"],
            "properties": {
                "operationId": STRING,
                "summary": STRING,
                "description": STRING,
                "tags": {"type": "array", "items": STRING, "minItems": 1},
                "parameters": {"type": "array", "items": {"$ref": "#/$defs/parameter"}},
                "requestBody": {
                    "type": "object",
                    "required": ["content"],
                    "properties": {"description": STRING, "required": BOOLEAN, "content": CONTENT},
                    "additionalProperties": False,
                },
                "responses": {
                    "type": "object",
                    "minProperties": 1,
                    "patternProperties": {"^[1-5][0-9][0-9]$": {"$ref": "#/$defs/response"}},
                    "additionalProperties": False,
                },
                "security": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "array"}}},
            },
            "patternProperties": {"^x-": {}},
            "additionalProperties": False,
        },
        "parameter": {
            "type": "object",
            "required": ["name", "in", "schema"],
            "properties": {
                "name": STRING,
                "in": {"enum": ["path", "query", "header"]},
                "description": STRING,
                "required": BOOLEAN,
                "schema": {"type": "object"},
                "example": {},
            },
            "patternProperties": {"^x-": {}},
            "additionalProperties": False,
            "if": {"properties": {"in": {"const": "path"}}},
            "then": {"required": ["required"], "properties": {"required": {"const": True}}},
        },
        "response": {
            "type": "object",
            "required": ["description"],
            "properties": {
                "description": STRING,
                "content": CONTENT,
                "headers": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "required": ["schema"],
                        "properties": {"description": STRING, "required": BOOLEAN, "schema": {"type": "object"}},
                        "additionalProperties": False,
                    },
                },
            },
            "additionalProperties": False,
        },
        "scheme": {
            "oneOf": [
                {
                    "type": "object",
                    "required": ["type", "scheme"],
                    "properties": {"type": {"const": "http"}, "scheme": STRING, "description": STRING},
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "required": ["type", "in", "name"],
                    "properties": {
                        "type": {"const": "apiKey"},
                        "in": {"enum": ["query", "header", "cookie"]},
                        "name": STRING,
                        "description": STRING,
                    },
                    "additionalProperties": False,
                },
            ]
        },
    },
}


@cache
def case() -> Compilation:
    return compile_schemas(CASES / "operations")


def document(compilation: Compilation) -> dict:
    return json.loads(compilation.files["generated/openapi.json"])


def operations(compilation: Compilation) -> list[Operation]:
    return [operation for resource in compilation.ir.resources for operation in resource.operations]


def nodes(value: object):
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from nodes(item)
    elif isinstance(value, list):
        for item in value:
            yield from nodes(item)


both = pytest.mark.parametrize("compilation", [real, case], ids=["real", "case"])


class TestDocument:
    @both
    def test_it_is_what_openapi_allows(self, compilation):
        meta.validate(OPENAPI)
        faulty = [
            f"{list(error.instance_path)}: {error.message}"
            for error in Draft202012Validator(OPENAPI).iter_errors(document(compilation()))
        ]

        assert faulty == []

    @both
    def test_its_types_are_json_schema(self, compilation):
        found = document(compilation())
        for schema in [node["schema"] for node in nodes(found["paths"]) if isinstance(node.get("schema"), dict)]:
            meta.validate(schema)
        for schema in found["components"]["schemas"].values():
            meta.validate(schema)

    @both
    def test_every_reference_leads_to_a_component_and_every_component_is_reached(self, compilation):
        found = document(compilation())
        used = {node["$ref"] for node in nodes(found) if "$ref" in node}

        assert {REF + name for name in found["components"]["schemas"]} == used

    @both
    def test_every_operation_is_in_it_under_its_own_id(self, compilation):
        found = document(compilation())
        told = {
            (
                operation["operationId"],
                verb,
                path,
                tuple(item.get("x-aliases", ())),
                operation["x-scope"],
                operation.get("x-raw"),
            )
            for path, item in found["paths"].items()
            for verb, operation in item.items()
            if not verb.startswith("x-")
        }

        assert told == {
            (one.id, one.verb.lower(), one.paths[0], one.paths[1:], one.scope, one.protocol)
            for one in operations(compilation())
        }

    @both
    def test_an_operation_asks_for_a_key_unless_it_is_public(self, compilation):
        found = document(compilation())
        schemes = [{name: []} for name in found["components"]["securitySchemes"]]
        told = {node["operationId"]: node["security"] for node in nodes(found["paths"]) if "operationId" in node}

        assert len(schemes) > 1
        assert told == {one.id: [] if one.scope == "public" else schemes for one in operations(compilation())}

    def test_what_no_operation_reaches_is_left_out(self):
        assert "gateway.Unreached" not in document(case())["components"]["schemas"]


class TestTypes:
    def test_the_generated_types_and_the_document_tell_of_the_same_fields(self):
        """msgspec's own account of each Struct names the same properties, and needs the same ones."""
        names = table(real().ir)
        schemas = document(real())["components"]["schemas"]
        records = [(key, item) for key, item in names.items() if isinstance(item, Record) and ".".join(key) in schemas]

        assert len(records) > 100
        for (module, name), _ in records:
            struct = getattr(importlib.import_module(f"generated.types.{module}"), name)
            _, components = msgspec.json.schema_components([struct])
            own = next(
                found for title, found in components.items() if found.get("title") == name and title.endswith(name)
            )
            told = schemas[f"{module}.{name}"]
            constant = {key for key, found in told["properties"].items() if "const" in found}

            assert list(own["properties"]) == list(told["properties"]), name
            assert set(own["required"]) - constant == set(told.get("required", ())) - constant, name

    @pytest.mark.parametrize(
        ("component", "value", "sound"),
        [
            ("loans.Loan", {"thing": {"kind": "book", "title": "t"}, "due": None, "extra": [1]}, True),
            ("loans.Loan", {"thing": {"kind": "tool"}, "due": 3, "state": "open", "weight": 9.5}, True),
            ("loans.Loan", {"thing": {"kind": "book", "title": ""}, "due": 1}, False),
            ("loans.Loan", {"thing": {"kind": "car"}, "due": 1}, False),
            ("loans.Loan", {"thing": {"kind": "tool"}, "due": -1}, False),
            ("loans.Loan", {"thing": {"kind": "tool"}}, False),
            ("loans.Loan", {"thing": {"kind": "tool"}, "due": 1, "tags": {"a": 1}}, False),
            ("talking.Say", {"words": "w", "to": ["a", "b"]}, True),
            ("talking.Say", {"words": "w", "to": 3}, False),
            (
                "talking.Said",
                {"words": "w", "again": {"times": 1}, "before": {"words": "v", "again": {"times": 0}}},
                True,
            ),
            ("talking.Said", {"words": "w", "again": {"times": 1}, "before": None}, True),
            ("talking.Said", {"words": "w", "again": {}}, False),
        ],
    )
    def test_a_component_takes_what_its_schema_takes(self, component: str, value: object, sound: bool):
        schema = {**document(case()), "$ref": REF + component}

        assert Draft202012Validator(schema).is_valid(value) is sound


class TestPage:
    @both
    def test_every_operation_has_a_row_and_a_section(self, compilation):
        page = compilation().files["docs/reference/endpoints.md"]
        for operation in operations(compilation()):
            assert f"| `{operation.verb} {operation.paths[0]}` | [`{operation.id}`](#{operation.id.lower()}) |" in page
            assert f"\n### {operation.id}\n" in page
            for path in operation.paths:
                assert (
                    f"`{path}`" in page.partition(f"\n### {operation.id}\n")[2].partition("\n### ")[0]
                    or path == operation.paths[0]
                )

    @both
    def test_every_parameter_and_status_is_told(self, compilation):
        page = compilation().files["docs/reference/endpoints.md"]
        for operation in operations(compilation()):
            section = page.partition(f"\n### {operation.id}\n")[2].partition("\n### ")[0]
            assert all(f"\n| `{parameter.wire}` |" in section for parameter in operation.parameters)
            assert all(f"\n| {response.status} |" in section for response in operation.responses)


def test_a_raw_operation_documents_every_status_its_dialect_can_give():
    """But for conflicts, which no operation has yet, and what only a call to a provider can bring."""
    inference = {"createChatCompletion", "createMessage", "countMessageTokens"}
    statuses = {
        definition.facts.name: {str(shape.status) for shape in definition.facts.errors}
        for definition in real().ir.protocols
    }
    told = {
        one.id: (statuses[one.protocol or ""] - {"409"}, {found.status for found in one.responses} - {"200"})
        for one in operations(real())
        if one.id in inference
    }

    assert inference == set(told)
    assert [] == [name for name, (can, says) in told.items() if can != says]


def test_no_operation_without_a_scope_compiles(tmp_path: Path):
    root = 'version: 1\ninfo: {title: T, version: "1"}\nx-prefixes: [/v1]\ntags: [{name: t}]\n'
    resource = 'version: 1\npaths:\n  /x:\n    get:\n      operationId: getX\n      summary: X\n      tags: [t]\n{}      responses: {{"204": {{description: d}}}}\n'
    files = {"schemas/openapi/gateway.yaml": root, "schemas/openapi/x.yaml": resource.format("")}

    assert [("missing-field", 5)] == faults(tmp_path, files)
    assert "generated/api/x.py" not in compile_schemas(tmp_path).files
    files["schemas/openapi/x.yaml"] = resource.format("      x-scope: public\n")
    assert [] == faults(tmp_path, files)


def test_a_scope_that_no_key_can_have_is_refused(tmp_path: Path):
    keys = "version: 1\nsection: keys\nstruct: KeySettings\nshape: map\nhelp: Keys.\nsettings:\n  scopes: {type: list, of: choice, choices: [chat, view], default: [chat], help: What., reload: dynamic}\n"
    root = 'version: 1\ninfo: {title: T, version: "1"}\nx-prefixes: [/v1]\ntags: [{name: t}]\n'
    resource = 'version: 1\npaths:\n  /x:\n    get:\n      operationId: getX\n      summary: X\n      tags: [t]\n      x-scope: veiw\n      responses: {"204": {description: d}}\n'
    files = {
        "schemas/config/keys.yaml": keys,
        "schemas/openapi/gateway.yaml": root,
        "schemas/openapi/x.yaml": resource,
    }

    assert [("unknown-name", 8)] == faults(tmp_path, files)


def test_resources_without_a_root_are_refused(tmp_path: Path):
    assert [("missing-field", 1)] == faults(tmp_path, {"schemas/openapi/x.yaml": "version: 1\npaths: {}\n"})


PROGRAM = """
import asyncio, json
from generated.api import SPOKEN, loans, talk
from generated.types.loans import Book, Loan, LoanList, Tool
from runtime.errors import NotFound
from runtime.web.framework import application
from tests.web.script import call, front

class Loans:
    async def list_loans(self, borrower, status=None, limit=20, due_before=None, page_size=5):
        more = "" if due_before is None else f" {due_before} {page_size}"
        return LoanList(data=[], next=f"{borrower} {status} {limit}{more}")
    async def create_loan(self, caller, data):
        assert caller.id == "key" and "action" in caller.scopes
        return Loan(thing=Tool(power=True), due=data.due)
    async def end_loan(self, loan_id):
        if loan_id == "l-0":
            raise NotFound("no such loan")
    async def get_loan_report(self):
        return "a,b"

class Talk:
    async def list_talks(self, exchange): await exchange.respond(200, [], b"list")
    async def talk(self, exchange): await exchange.respond(200, [], b"said " + await exchange.read_body(100, 5))
    async def get_talk(self, exchange): await exchange.respond(200, [], exchange.path_params["talk_id"].encode())

parts = front(keys={"viewer": {"view"}, "actor": {"action"}}, spoken=SPOKEN)
app = application([loans.build_routes(Loans(), parts), talk.build_routes(Talk(), parts)], parts,
                  lambda error, _: print(repr(error)))

async def main():
    seen = []
    for method, path, query, key, body in CALLS:
        answer = await call(app, method, path, [("x-api-key", key)], body.encode(), query)
        seen.append([answer.status, answer.body.decode()])
    print(json.dumps(seen))

asyncio.run(main())
"""

CALLS = [
    (("GET", "/loans", "borrower=b", "viewer", ""), 200, '{"data":[],"next":"b None 20"}'),
    (("GET", "/loans", "borrower=b&status=open&limit=3", "viewer", ""), 200, '{"data":[],"next":"b open 3"}'),
    (("GET", "/loans", "borrower=b&dueBefore=may&pageSize=7", "viewer", ""), 200, '"next":"b None 20 may 7"'),
    (("GET", "/loans", "borrower=b&pageSize=10", "viewer", ""), 400, '"kind":"invalid_request"'),
    (("GET", "/loans", "borrower=b&limit=101", "viewer", ""), 400, '"kind":"invalid_request"'),
    (("GET", "/loans", "borrower=b&status=lost", "viewer", ""), 400, '"kind":"invalid_request"'),
    (("GET", "/loans", "", "viewer", ""), 400, '"kind":"invalid_request"'),
    (("GET", "/loans", "borrower=b", "actor", ""), 403, '"kind":"permission"'),
    (("GET", "/v1/loans", "borrower=b", "viewer", ""), 404, "openai_chat: not_found"),
    (("POST", "/loans", "", "actor", '{"thing":{"kind":"tool"},"due":4}'), 201, '"due":4'),
    (("POST", "/loans", "", "actor", '{"thing":{"kind":"car"},"due":4}'), 400, '"kind":"invalid_request"'),
    (("POST", "/loans", "", "actor", "{"), 400, '"kind":"invalid_request"'),
    (("DELETE", "/api/v1/loans/l-1", "", "actor", ""), 204, ""),
    (("DELETE", "/loans/l-0", "", "actor", ""), 404, "no such loan"),
    (("DELETE", "/loans/wrong", "", "actor", ""), 400, '"kind":"invalid_request"'),
    (("GET", "/loans/report", "", "", ""), 200, "a,b"),
    (("HEAD", "/loans/report", "", "", ""), 200, ""),
    (("PUT", "/loans", "", "actor", ""), 405, '"kind":"method_not_allowed"'),
    (("GET", "/v1/talk", "", "", ""), 200, "list"),
    (("POST", "/api/v1/talk", "", "", "words"), 200, "said words"),
    (("PUT", "/v1/talk", "", "", ""), 405, "openai_chat: method_not_allowed"),
    (("GET", "/v1/talk/a/b", "", "", ""), 200, "a/b"),
]


def test_generated_routers_serve(tmp_path: Path):
    """The whole way: schemas, compiler, generated modules in a fresh interpreter, Litestar, a service, an answer."""
    for path, text in case().files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    for name in ("runtime", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    program = f"CALLS = {[call for call, _, _ in CALLS]!r}\n{PROGRAM}"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ("", 0) == (done.stderr, done.returncode)
    seen = json.loads(done.stdout)
    assert [status for _, status, _ in CALLS] == [status for status, _ in seen]
    assert [] == [(call, body) for (call, _, part), (_, body) in zip(CALLS, seen, strict=True) if part not in body]

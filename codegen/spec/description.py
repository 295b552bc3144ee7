"""What editors say about the fields of schema files, where neither the field nor its class's docstring says it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["DESCRIPTIONS"]

DESCRIPTIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({
    # providers
    "Provider": {
        "id": "Equal to the file's name. Models are called `id/model`.",
        "name": "What people call it.",
        "base_url": "Where it is, without a slash at the end. `{variables}` are filled in by each connection.",
        "surfaces": "The protocols it speaks and where, preferred first.",
        "auth": "How the credential travels.",
        "headers": "Headers sent with every request. Credentials do not belong here.",
        "variables": "The names in braces in `base_url`.",
        "quirks": "Named departures from its protocols' standard.",
        "parameters": "What happens to fields of every request to it.",
        "models": "Its models, as it calls them.",
        "open_models": "Names that are not listed are sent on as they are.",
        "local": "It runs on the operator's own machine or network, so plain HTTP is no fault.",
        "assume": "What models that are not listed are assumed to be able to do.",
        "website": "For people.",
        "source": "Where these facts were read.",
        "notes": "What an operator should know, a sentence each.",
    },
    "Surface": {
        "path": "Below the base URL; `{model}` stands for the model's id.",
        "count_tokens": "The path that counts tokens, where there is one.",
        "version": "The value of the vendor's API version header.",
        "web_search": "Its models can search the web with the vendor's own tool.",
        "parameters": "What happens to fields of requests in this protocol only, after the provider's own rules.",
    },
    "Auth": {
        "scheme": "`key`: it wants a credential; `optional_key`: it takes one; `none`: it wants none.",
        "header": "The header that holds the credential.",
        "prefix": "What stands before the credential, with the space.",
        "env": "The environment variables that hold it by custom; the first that is set is used.",
    },
    "Model": {
        "id": "The provider's own name for it.",
        "name": "What people call it.",
        "endpoint": "The kind of call it answers.",
        "protocol": "The one surface it is spoken to on.",
        "has": "What the vendor states that it can do.",
        "lacks": "What the vendor states that it cannot do.",
        "limits": "In tokens; what is not given is unknown.",
        "prices": "Dollars per million tokens, with source and date.",
        "parameters": "What happens to fields of requests to it, after the provider's own rules.",
        "reasoning": "How it is told to think.",
        "released": "The day it appeared, as YYYY-MM-DD.",
    },
    "Limits": {
        "context": "Tokens of input and output together.",
        "max_input": "The most tokens that may be sent, where that is less than the context.",
        "max_output": "The most tokens it answers with.",
    },
    "Prices": {
        "source": "Where the numbers were read.",
        "date": "When they were read, as YYYY-MM-DD.",
        "input": "A million tokens that are sent.",
        "output": "A million tokens that are answered.",
        "cache_read": "A million tokens read from the provider's cache.",
        "cache_write_5m": "A million tokens written to its cache for five minutes.",
        "cache_write_1h": "A million tokens written to its cache for an hour.",
        "reasoning": "A million tokens of thinking, where they do not cost as output does.",
        "audio_input": "A million tokens of audio that are sent.",
        "audio_output": "A million tokens of audio that are answered.",
        "image": "A thousand images.",
        "request": "A thousand calls.",
        "search": "A thousand searches.",
    },
    "ParameterRules": {
        "drop": "Fields that are removed.",
        "rename": "Old names to new ones.",
        "range": "Numbers that are moved to the nearer end of a range.",
        "add": "Fields that are set where they are absent; the value is JSON text.",
        "exclusive": "Groups of which only the first field present is kept.",
    },
    "Range": {"min": "The smallest number.", "max": "The largest number."},
    "ReasoningFacts": {
        "style": "`effort`: effort words; `budget`: a number of tokens; `adaptive`: effort words, thinking it measures itself.",
        "efforts": "The effort words it knows, weakest first.",
        "can_disable": "It can be told not to think.",
        "with_tools": "What may be said of effort beside tools: `any` word, nothing (`omit`), or only `none`.",
        "min_budget": "The least tokens to think with.",
        "max_budget": "The most tokens to think with.",
    },
    # protocols
    "ProtocolFile": {
        "title": "What people call it.",
        "vendor": "Whose it is.",
        "stream": "What a stream is made of.",
        "finish": "Finish reasons, theirs and ours.",
        "types": "Named types, each in the subset of JSON Schema that compiles to Python.",
    },
    "FinishTable": {
        "in": "The vendor's finish reason to the canonical one.",
        "out": "The canonical finish reason to the vendor's.",
    },
    "ErrorShape": {
        "kind": "The gateway's word for the error.",
        "status": "The HTTP status.",
        "type": "The vendor's word for the type of error.",
        "code": "The vendor's code, if it gives one.",
    },
    "ErrorRule": {
        "kind": "The gateway's word for what the rule recognises.",
        "statuses": "HTTP statuses, one of which it has.",
        "codes": "The vendor's codes, one of which it has.",
        "types": "The vendor's types, one of which it has.",
        "texts": "Lower-case pieces of the message, one of which occurs.",
    },
    # types
    "Schema": {
        "properties": "The properties of an object, in the order in which they are emitted.",
        "discriminator": "How the members of `oneOf` are told apart.",
        "minimum": "The least number.",
        "maximum": "The greatest number.",
        "minLength": "The least number of characters.",
        "maxLength": "The greatest number of characters.",
        "minItems": "The least number of items.",
        "maxItems": "The greatest number of items.",
        "examples": "Values for readers; nothing checks them.",
    },
    # settings
    "SectionFile": {
        "settings": "The settings of the section, or of one entry of it, by name.",
        "records": "Further classes, which settings name with `of`.",
    },
    "SettingSpec": {
        "type": "What an operator writes. A `secret` is a reference to one.",
        "min_items": "The least number of items of a list.",
        "max_items": "The greatest number of items of a list.",
        "required": "It may not be absent.",
    },
    "RecordSpec": {"help": "What the record is, in whole sentences.", "settings": "Its settings by name."},
    # OpenAPI
    "OpenApiFile": {
        "openapi": "The version of OpenAPI; in the root file.",
        "info": "What the document is about; in the root file.",
        "servers": "Where a server may be; in the root file.",
        "tags": "The groups of operations; in the root file.",
        "security": "The ways to present a key, any one of which will do.",
        "paths": "Operations by path, without prefix.",
        "components": "What operations refer to.",
    },
    "Info": {
        "title": "The name of the product.",
        "version": "The version of the interface.",
        "summary": "One line about it.",
        "description": "What a reader should know first.",
    },
    "Server": {"url": "Its address.", "description": "Which one it is."},
    "Tag": {"name": "The word that operations use.", "description": "What its operations have in common."},
    "PathItem": {
        "summary": "One line about the path.",
        "description": "What holds for all its operations.",
        "parameters": "Parameters of all its operations.",
        **{verb: f"The operation of {verb.upper()}." for verb in ("get", "post", "put", "patch", "delete", "head")},
    },
    "Operation": {
        "operationId": "The operation's name; the service's method is called like it.",
        "summary": "One line: what it does.",
        "description": "The same for a reader who needs all of it; becomes the method's docstring.",
        "tags": "The group it belongs to.",
        "parameters": "What the path, the query and headers say.",
        "requestBody": "What is sent.",
        "responses": "What may be answered, by status.",
    },
    "Parameter": {
        "$ref": "A parameter that stands elsewhere.",
        "name": "Its name in the request.",
        "in": "Where in the request it stands.",
        "description": "What it says.",
        "required": "The request is refused without it.",
        "schema": "Its type.",
        "example": "A value for readers.",
    },
    "RequestBody": {
        "description": "What it says.",
        "required": "The request is refused without it.",
        "content": "Its type by media type.",
    },
    "MediaType": {"schema": "The type of the body; absent if it is opaque.", "example": "A value for readers."},
    "Response": {
        "$ref": "A response that stands elsewhere.",
        "description": "When it is given.",
        "headers": "Headers by name.",
        "content": "The body's type by media type.",
    },
    "Header": {
        "$ref": "A header that stands elsewhere.",
        "description": "What it says.",
        "required": "It is always there.",
        "schema": "Its type.",
    },
    "Components": {
        "schemas": "Named types.",
        "parameters": "Named parameters.",
        "responses": "Named responses.",
        "headers": "Named headers.",
        "securitySchemes": "The ways to present a key.",
    },
})  # fmt: skip

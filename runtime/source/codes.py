"""Every diagnostic code with the sentence that explains it; ``docs/reference/diagnostics.md`` is made from this table.

A code is stable: it keeps its meaning, and one that goes is never given another.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CODES"]

CODES: Mapping[str, str] = MappingProxyType(
    {
        # reading YAML
        "yaml-syntax": "The file is not well-formed YAML.",
        "yaml-encoding": "The file is not valid UTF-8, or holds a character that YAML does not allow.",
        "yaml-tag": "Explicit tags such as `!!str` or `!env` are not read: a value's type comes from the schema.",
        "yaml-merge-key": "The merge key `<<` is not part of YAML 1.2. Write the keys out.",
        "yaml-alias-cycle": "An alias refers to the value that contains it.",
        "yaml-too-large": "After aliases are expanded the document has more values than any sound configuration.",
        "yaml-too-deep": "Lists and mappings stand in one another deeper than any setting does.",
        "yaml-many-documents": "One file holds one document.",
        "yaml-empty": "The file holds no value.",
        "duplicate-key": "A mapping has the same key twice; readers would disagree on which one counts.",
        "key-not-text": "Keys are text. Quote a number or a date that is meant as a name.",
        "ambiguous-scalar": "YAML 1.1 and YAML 1.2 read this unquoted value differently (`no`, `0123`, `12:30`). Quote it.",
        # shape
        "missing-version": "The first key of every file is `version`.",
        "unsupported-version": "The file is written for another version of this compiler.",
        "unknown-field": "The schema has no such key here.",
        "missing-field": "A required key is absent.",
        "wrong-type": "The value has another type than the schema asks for.",
        "invalid-value": "The value has the right type and breaks a rule of the schema: a range, a pattern, a length.",
        "unknown-choice": "The value is not one of the allowed words.",
        "wrong-unit": "A duration, size or price is written without its unit, or with one that does not belong to it.",
        # schemas: names, references, the dialect
        "unknown-file": "A file below `schemas/` belongs to no kind of schema.",
        "unknown-name": "A reference names something that does not exist.",
        "duplicate-name": "Two things have the same name, or would become the same name in Python.",
        "bad-name": "The name cannot be written in Python, or is reserved there.",
        "name-mismatch": "A file is called otherwise than what it describes.",
        "useless-keyword": "A keyword of a schema has nothing to act on, so it would promise what nobody checks.",
        "unsupported-schema": "The schema is JSON Schema, but outside the subset that compiles to Python types.",
        "ambiguous-union": "The members of a `oneOf` cannot be told apart when JSON is read.",
        "alias-cycle": "A type that is no object contains itself.",
        "bad-pattern": "A pattern is not a regular expression, or cannot do what it is there for.",
        "contradiction": "Two statements of one file exclude each other.",
        # gateway.yaml: names and what they lead to
        "unknown-model": "A name leads to no model, alias or combo.",
        "unknown-provider": "The catalogue has no such provider, and what is written does not make one of your own.",
        "unknown-protocol": "No such protocol; `schemas/protocols` lists those there are.",
        "unknown-connection": "The provider has no such connection.",
        "unknown-variable": "A connection fills in a variable that the base URL does not hold.",
        "missing-variable": "A connection leaves a variable of the base URL open.",
        "invalid-name": "The name cannot be used: it holds characters that URLs, logs or other names could not carry.",
        "name-collision": "Two public names are the same, so one of them could never be called.",
        "ambiguous-name": "A name stands for several models, or two wildcards claim the same names, so that nobody could say which is meant.",
        "cycle": "Aliases or combos lead back to themselves; the whole chain is shown.",
        "chain-too-long": "A name leads to its model through more names than anybody could follow.",
        "reserved-name": "The name is kept for a later release, or was used by an earlier one.",
        "deprecated-setting": "The setting still works and will go; the hint says what takes its place.",
        "fixed-setting": "The management API does not change this: it is fixed at the start, or has operations of its own.",
        "ignored-setting": "The setting has no effect here.",
        "ignored-file": "The file looks like a part of the configuration, and is not read: parts are `gateway.d/*.yaml`.",
        # gateway.yaml: what can be reached
        "no-connection": "The provider has no connection, so nothing can be sent to it.",
        "unspoken-protocol": "The provider or model is offered only in a protocol that is not spoken to it.",
        "unused-provider": "Nothing can call the provider: it has no models and takes no unlisted names.",
        "unused-connection": "The connection repeats another one and adds nothing.",
        "unreachable-target": "The target can never be reached: an earlier one answers in its place.",
        "mixed-endpoints": "The targets of one combo answer different kinds of call.",
        "mixed-vectors": "Vectors of one combo come from several models: they are in different spaces, and comparing them means nothing.",
        "missing-capability": "A public model promises what one of its targets is known to lack.",
        "unproved-capability": "A public model promises what one of its targets is not known to have.",
        "zero-weight": "The weights of a combo, or of its factors, sum to nothing, so they choose nothing.",
        "impossible-condition": "No request could meet the target's conditions and be answered by it.",
        "no-catch-all": "Every target of a combo has conditions, so that some requests would find none.",
        "nothing-to-serve": "No model can be called with this configuration.",
        # gateway.yaml: secrets, keys, addresses
        "secret-in-clear": "A secret stands in the file itself. Whoever reads the file has it: revoke it.",
        "bad-reference": "A secret is referred to as `${NAME}` or `file:path`, and in no other way.",
        "reference-not-read": "A reference stands in a field that does not take one.",
        "missing-secret": "A variable or file that holds a configured secret is absent here and now.",
        "open-server": "The server would answer everyone on its network without a key.",
        "open-to-pages": "No key or login is asked for, and the pages of every web site may call.",
        "trusts-anybody": "Proxies are believed at addresses that anybody may have, so that clients could forge their own.",
        "unshared-workers": "Several workers serve, and each would know only what happened to itself.",
        "useless-key": "The key may do nothing.",
        "unknown-tenant": "The section `tenants` has no such name.",
        "unknown-key": "The section `keys` has no such name, and no key that is made while the gateway runs is called so.",
        "useless-policy": "The policy says nothing, or says it of nobody.",
        "odd-window": "A limit is for a time that cannot be counted.",
        "duplicate-key-secret": "Two client keys are the same secret, so nobody could say who called.",
        "bad-url": "The address is incomplete, or holds what an address must not hold.",
        "plain-http": "Keys and prompts would cross a network unencrypted.",
        "bad-header": "The header cannot be sent as it is written.",
        # numbers
        "bad-price": "The price is far below any model's: prices are dollars per million tokens.",
        "unlikely-price": "The price is far above any model's, or cached input costs more than plain input.",
        "unsafe-threshold": "Questions that are no nearer to each other than this often ask for different answers.",
        "no-embedding-model": "A model that makes vectors is asked for, and this one does not.",
        "limit-never-reached": "A limit lies beyond another one that always comes first.",
    }
)

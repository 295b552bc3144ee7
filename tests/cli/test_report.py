"""Diagnostics in the forms that people, scripts, code scanning and GitHub read."""

import json

from jsonschema import Draft202012Validator

from runtime.cli.report import FORMATS, as_github, as_json, as_sarif, as_text, summary
from runtime.source import CODES, Diagnostic, Note, Severity, Span

CODE = next(iter(CODES))
FAULT = Diagnostic(Severity.ERROR, CODE, "100% wrong,\nreally", Span("a,b:c.yaml", 3, 7), "write\nless")
DOUBT = Diagnostic(Severity.WARNING, CODE, "perhaps", Span("gateway.yaml", 1, 1), None, (Note(Span("x", 9, 2), "see"),))

SARIF_SHAPE = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {"driver": {"type": "object", "required": ["name"]}},
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["ruleId", "level", "message", "locations"],
                            "properties": {"level": {"enum": ["error", "warning", "note", "none"]}},
                        },
                    },
                },
            },
        },
    },
}


def test_text_is_what_the_compilers_print() -> None:
    assert f"{FAULT}\n{DOUBT}" == _unstyled(as_text([FAULT, DOUBT]))


def test_json_holds_every_field() -> None:
    shown = json.loads(as_json([DOUBT]))

    assert [
        {
            "severity": "warning",
            "code": CODE,
            "message": "perhaps",
            "span": {"file": "gateway.yaml", "line": 1, "column": 1},
            "hint": None,
            "notes": [{"span": {"file": "x", "line": 9, "column": 2}, "message": "see"}],
        }
    ] == shown


def test_sarif_is_well_formed_and_names_every_rule_it_uses() -> None:
    log = json.loads(as_sarif([FAULT, DOUBT]))
    run = log["runs"][0]

    Draft202012Validator(SARIF_SHAPE).validate(log)
    assert {result["ruleId"] for result in run["results"]} == {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert {"artifactLocation": {"uri": "a,b:c.yaml"}, "region": {"startLine": 3, "startColumn": 7}} == place
    assert "see" == run["results"][1]["relatedLocations"][0]["message"]["text"]


def test_github_commands_take_one_line_each_and_escape_what_would_end_a_value() -> None:
    line, second = as_github([FAULT, DOUBT]).splitlines()

    assert (
        f"::error file=a%2Cb%3Ac.yaml,line=3,col=7,title={CODE}::100%25 wrong,%0Areally; write%0Aless" == line
    )  # values escape commas and colons only before the `::`
    assert f"::warning file=gateway.yaml,line=1,col=1,title={CODE}::perhaps" == second


def test_no_diagnostics_make_an_empty_report_in_every_line_format() -> None:
    assert ("", "") == (FORMATS["text"]([]), FORMATS["github"]([]))
    assert [] == json.loads(FORMATS["json"]([]))
    assert [] == json.loads(FORMATS["sarif"]([]))["runs"][0]["results"]


def test_summary_counts_in_words() -> None:
    assert "2 errors, 1 warning" == summary([FAULT, FAULT, DOUBT])
    assert "1 error" == summary([FAULT])
    assert "no complaints" == summary([])


def _unstyled(text: str) -> str:
    import click

    return click.unstyle(text)

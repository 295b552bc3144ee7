"""What may be shown of a plan: planted secrets are in none of its printed forms."""

from __future__ import annotations

import json

from runtime.config.compile import compile_plan
from runtime.config.diff import diff_plans, render_diff
from runtime.config.explain import explain, render_explanation
from runtime.config.files import MAIN, Source
from runtime.config.lock import artefact_files
from runtime.config.plan import Artefact
from runtime.config.redact import printable
from tests.config.catalog import CATALOG

HASH = "feed" * 16
TEXT = f"""version: 1
providers:
  openai:
    headers: {{x-session: planted-header}}
    connections:
      - {{id: team, key: "${{TEAM_KEY}}", headers: {{x-token: planted-token}}}}
keys:
  ci: {{hash: "hmac-sha256:{HASH}"}}
  lab: {{key: "${{LAB_KEY}}"}}
"""


def artefact() -> Artefact:
    found = compile_plan([Source(MAIN, TEXT.encode())], CATALOG).artefact
    assert found is not None
    return found


def test_printed_plan_holds_references_and_masks_the_rest() -> None:
    shown = printable(artefact().plan)
    text = json.dumps(shown)

    assert [] == [secret for secret in ("planted-header", "planted-token", HASH) if secret in text]
    assert "${TEAM_KEY}" in text
    assert "${LAB_KEY}" in text
    assert "x-session" in text


def test_printed_plan_has_everything_else() -> None:
    plan = artefact().plan
    shown = printable(plan)

    assert set(plan.routes) == set(json.loads(json.dumps(shown["routes"])))
    assert {"server", "requests", "timeouts", "logging", "providers", "models", "connections", "keys"} <= set(shown)


def test_differences_and_explanations_hold_no_header_or_hash() -> None:
    bare = compile_plan([Source(MAIN, b"version: 1\n")], CATALOG).plan
    assert bare is not None
    texts = (render_diff(diff_plans(bare, artefact().plan)), render_explanation(explain(artefact(), "openai/gpt-5")))

    assert [] == [secret for secret in ("planted", HASH) if any(secret in text for text in texts)]


def test_lock_holds_hashes_only() -> None:
    files = artefact_files(artefact(), [Source(MAIN, TEXT.encode())])

    assert b"planted" not in files["gateway.lock"]

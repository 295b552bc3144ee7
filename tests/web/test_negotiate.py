import pytest

from runtime.web.negotiate import dialect


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "openai_chat"),
        ({"authorization": "Bearer k", "user-agent": "OpenAI/Python 3.52.0"}, "openai_chat"),
        ({"anthropic-version": "2023-06-01"}, "anthropic_messages"),
        ({"anthropic-version": "2023-06-01", "x-goog-api-key": "k"}, "anthropic_messages"),
        ({"x-goog-api-key": "k"}, "gemini"),
        ({"x-goog-api-client": "google-genai-sdk/3.4.0"}, "gemini"),
    ],
)
def test_a_dialect_is_known_by_what_its_sdk_sends(headers: dict[str, str], expected: str) -> None:
    assert expected == dialect(headers)

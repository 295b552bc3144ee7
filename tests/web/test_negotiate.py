import pytest

from runtime.web.negotiate import dialect, territory


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


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1beta", "gemini"),
        ("/v1beta/models/x", "gemini"),
        ("/v1beta1/models/x", None),
        ("/api/v1/models", "negotiated"),
        ("/api/v10", "ollama_chat"),
        ("/api", "ollama_chat"),
        ("/apis", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_longest_prefix_says_what_is_spoken_below_it(path: str, expected: str | None) -> None:
    spoken = (("/v1beta", "gemini"), ("/api/v1", "negotiated"), ("/api", "ollama_chat"))

    assert expected == territory(path, spoken)

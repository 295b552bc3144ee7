"""Which state the settings ask for, and which URLs lead to none."""

from __future__ import annotations

import pytest

from generated.config import SharedSettings
from runtime.shared.choose import place_of, url_complaint


@pytest.mark.parametrize(
    ("settings", "workers", "expected"),
    [
        (SharedSettings(), 1, "memory"),
        (SharedSettings(), 2, "file"),
        (SharedSettings(url="${REDIS_URL}"), 1, "redis"),
        (SharedSettings(url="${REDIS_URL}"), 4, "redis"),
        (SharedSettings(where="file"), 1, "file"),
        (SharedSettings(where="memory"), 4, "memory"),
    ],
)
def test_where_it_lies(settings: SharedSettings, workers: int, expected: str) -> None:
    assert expected == place_of(settings, workers)


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:secret@10.0.0.1:6379/3",
        "rediss://user:secret@cache.example.com:6380/0?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:6379/",
    ],
)
def test_a_url_of_a_redis_is_no_complaint(url: str) -> None:
    assert url_complaint(url) is None


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "it has no scheme"),
        ("localhost", "it has no scheme"),
        ("http://:secret@localhost", "its scheme is 'http'"),
        ("postgresql://u:secret@localhost/db", "its scheme is 'postgresql'"),
        ("redis://:secret@", "it names no host"),
        ("redis://:secret@localhost:many", "it is no URL"),
        ("redis://:secret@localhost/cache", "behind its host stands no number of a database"),
        ("redis://:secret@localhost?socket_timeout=9000", "it has the option 'socket_timeout'"),
        ("unix://", "it names no socket"),
    ],
)
def test_any_other_url_is_one_that_says_no_secret(url: str, complaint: str) -> None:
    assert complaint == url_complaint(url)

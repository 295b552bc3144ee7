"""Headers of an answer: what is said again and again is remembered, what a client said is not."""

import tracemalloc

from runtime.web.header import encode_headers


def test_long_values_are_not_kept() -> None:
    encode_headers([("x-first", "value")])
    tracemalloc.start()
    try:
        for each in range(500):
            encode_headers([("access-control-allow-headers", f"{each:060000}")])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 2_000_000


def test_remembered_or_not_it_is_the_same() -> None:
    for length in (1, 128, 129, 4000):
        value = ("caf\u00e9\n\u2026" * length)[:length]
        said = value.replace("\n", " ").encode("latin-1", "replace")
        assert [[(b"x-name", said)]] * 2 == [encode_headers([("X-Name", value)]) for _ in range(2)]

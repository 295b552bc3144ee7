"""Pieces lose nothing, and counting agrees with cutting."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.upstream.simulated.reply import Call, Reply, limited
from runtime.upstream.simulated.tokens import count, pieces


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    parts = pieces(text)

    assert "".join(parts) == text
    assert len(parts) == count(text)
    assert all(0 < len(part) <= 16 for part in parts)


PARTS = st.lists(st.text(min_size=1, max_size=3), max_size=5).map(tuple)


@given(PARTS, PARTS, st.lists(st.builds(Call, st.just("f"), PARTS), max_size=3).map(tuple), st.integers(1, 25))
def test_a_limit_is_kept_exactly(
    reasoning: tuple[str, ...], text: tuple[str, ...], calls: tuple[Call, ...], limit: int
) -> None:
    reply = Reply(reasoning=reasoning, text=text, calls=calls)

    cut = limited(reply, limit)

    assert cut.tokens == min(reply.tokens, limit)
    assert (cut.finish == "length") == (reply.tokens > limit)
    assert limited(reply, None) is reply

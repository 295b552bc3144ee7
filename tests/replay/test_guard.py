"""What a vector does not tell apart is told apart by its marks."""

import subprocess
import sys

import pytest

from runtime.replay.guard import marks


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What was revenue in 2023?", "What was revenue in 2024?"),
        ("Is it safe to mix them?", "Is it not safe to mix them?"),
        ("Should I do it?", "Shouldn't I do it?"),
        ("Can I pay with cash?", "Can\u2019t I pay with cash?"),
        ("Can I pay with cash?", "Can\u00b4t I pay with cash?"),
        ("Can I pay with cash?", "Can`t I pay with cash?"),
        ("Can I pay with cash?", "Can\u02bct I pay with cash?"),
        ("Can I pay with cash?", "Can\u2018t I pay with cash?"),
        ("Is it safe?", "Isn\u2032t it safe?"),
        ("É seguro?", "Na\u0303o é seguro?"),
        ("Does it work with sugar", "Does it work without sugar"),
        ("Which is cheaper: more or less?", "Which is cheaper: less?"),
        ("open the door", "close the door"),
        ("Ist das erlaubt?", "Ist das nicht erlaubt?"),
        ("Est-ce vrai ?", "Ce n'est pas vrai ?"),
        ("这是对的吗", "这是不对的吗"),
        ('translate "cat"', 'translate "dog"'),
        ("what does `rm` do", "what does `mv` do"),
        ("translate “cat”", "translate “dog”"),
        ("traduis «chat»", "traduis «chien»"),
        ("translate 'cat'", "translate 'dog'"),
        ("translate \u2018cat\u2019", "translate \u2018dog\u2019"),
        ("übersetze „Katze“", "übersetze „Hund“"),
        ("übersetze »Katze«", "übersetze »Hund«"),
        ("「猫」を訳して", "「犬」を訳して"),
        ("what is in /etc/passwd", "what is in /etc/shadow"),
        ("what is user.name", "what is user.age"),
        ("what does getName do", "what does getAge do"),
        ("write to me@a.test", "write to you@a.test"),
        ("convert from USD to EUR", "convert from EUR to USD"),
        ("what is foo_bar", "what is foo_baz"),
        ("is a < b", "is a > b"),
        ("three apples", "two apples"),
        ("from 1 to 2", "from 2 to 1"),
    ],
)  # fmt: skip
def test_they_differ(one: str, other: str) -> None:
    assert marks(one) != marks(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How can I reset my password"),
        ("What are your opening hours in 2024?", "In 2024, what are your opening hours?"),
        ("I can't log in.", "Why can\u2019t I log in?"),
        ("I can't log in.", "Why can\u00b4t I log in?"),
        ("How do I open my parents' door?", "How can I open my parents' door?"),
        ("Não é seguro?", "Na\u0303o e\u0301 seguro?"),
    ],
)
def test_they_are_the_same(one: str, other: str) -> None:
    assert marks(one) == marks(other)


SCRIPT = """
import resource
from runtime.replay.guard import marks
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
for piece in ("a", "A", "ab-", "_", "a_", "\u4e0d", "\u201c", "\u00ab", "\u201e", "\u300c", '"', "`", "'", " '", " 'a", ".", "a.", "-", "1", "a'"):
    marks(piece * 100_000)
"""
"""Needs a tenth of the seconds of a processor that it may take, or an hour."""


def test_a_text_of_any_kind_is_read_once() -> None:
    """The loop that serves all clients stands still meanwhile."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=False)

    assert 0 == done.returncode

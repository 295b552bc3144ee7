"""What a vector does not tell apart is told apart by its marks."""

import pytest

from runtime.replay.guard import marks


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What was revenue in 2023?", "What was revenue in 2024?"),
        ("Is it safe to mix them?", "Is it not safe to mix them?"),
        ("Should I do it?", "Shouldn't I do it?"),
        ("Can I pay with cash?", "Can\u2019t I pay with cash?"),
        ("Does it work with sugar", "Does it work without sugar"),
        ("Which is cheaper: more or less?", "Which is cheaper: less?"),
        ("open the door", "close the door"),
        ("Ist das erlaubt?", "Ist das nicht erlaubt?"),
        ("Est-ce vrai ?", "Ce n'est pas vrai ?"),
        ("这是对的吗", "这是不对的吗"),
        ('translate "cat"', 'translate "dog"'),
        ("what does `rm` do", "what does `mv` do"),
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
    ],
)
def test_they_are_the_same(one: str, other: str) -> None:
    assert marks(one) == marks(other)

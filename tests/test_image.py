"""What the container image holds."""

from pathlib import Path

DOCKERFILE = Path(__file__).resolve().parents[1] / "Dockerfile"


def test_its_modules_are_compiled_before_nothing_may_be_written() -> None:
    """To compile them takes longer than all else at a start, and would be done at every one."""
    text = DOCKERFILE.read_text()
    copied = [
        line.split()[-1].rstrip("/")
        for line in text.splitlines()
        if line.startswith(("COPY runtime", "COPY generated"))
    ]
    compiled = next(line for line in text.splitlines() if "compileall" in line).split()

    assert set(copied) == {"runtime", "generated"}
    assert set(copied) <= set(compiled)
    assert text.index("compileall") < text.index("USER gatewright")
    assert text.index("COPY generated") < text.index("compileall")

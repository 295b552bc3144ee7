"""Rules of this project that no linter knows. Every exception stands on a list here, with its reason."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("runtime", "codegen", "generated")
HAND_WRITTEN = ("runtime", "codegen")

MAX_LINES = 500
LONG_MODULES: dict[str, str] = {}

ANY_MODULES: dict[str, str] = {
    "codegen/": "defaults, examples and templates hold JSON of any shape",
    "runtime/protocols/": "a wire format is JSON until its codec has looked at it",
    "runtime/resilience/door.py": "asyncio's own type of a task whose result nobody reads",
    "runtime/source/decode.py": "builds values of types that only run time knows",
}

# The local model's libraries take orders from nowhere else: it writes there, and reads nothing.
ENVIRONMENT_READERS = ("runtime/config/", "runtime/cli/", "runtime/replay/local.py")

VAGUE_NAMES = {"manager", "helper", "helpers", "utils", "util", "common", "core", "misc"}

# Hosts of package registries and paths of one person's machine have no place in a repository.
MACHINE_TEXT = re.compile(
    r"(?<![\w.])/(?:home|root|Users|work)/[\w.-]+|/opt/(?:pypi|wheels)|/tmp/[\w.-]+/"
    r"|files\.pythonhosted\.org|pypi\.org/simple|registry\.npmjs\.org|index-url[ =](?:https?|file):",
    re.IGNORECASE,
)


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


def tracked() -> list[Path]:
    """Files of the repository; without git, everything that is not a cache."""
    command = ["git", "ls-files", "--cached", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        return [ROOT / file for file in listed.split("\0") if file and (ROOT / file).is_file()]
    except (OSError, subprocess.CalledProcessError):
        skipped = {".venv", ".git", "__pycache__", "data"}
        return [path for path in ROOT.rglob("*") if path.is_file() and not skipped & set(path.parts)]


def test_modules_are_at_most_500_lines_long() -> None:
    long = [name(path) for path in modules(*HAND_WRITTEN) if len(path.read_text("utf-8").splitlines()) > MAX_LINES]

    assert sorted(LONG_MODULES) == long


def test_any_is_imported_only_where_it_is_argued_for() -> None:
    found = [name(path) for path in modules(*HAND_WRITTEN) if "Any" in _imported(path, "typing")]

    assert [path for path in found if not path.startswith(tuple(ANY_MODULES))] == []
    assert [place for place in ANY_MODULES if not any(path.startswith(place) for path in found)] == []


def test_only_config_and_cli_read_the_environment() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path in modules(*PACKAGES)
        if not name(path).startswith(ENVIRONMENT_READERS)
        for node in nodes(path)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"} and _is_os(node.value))
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {"environ", "getenv"} & _names(node))
    ]

    assert found == []


def test_no_module_holds_state() -> None:
    """What a module makes at import is a constant: named as one, and changed by nobody.

    A mapping or list literal is as good as a tuple here as long as no line of the module writes to it.
    """
    found = [
        f"{name(path)}:{line} {target} {complaint}"
        for path in modules(*HAND_WRITTEN)
        for line, target, complaint in _state(path)
    ]

    assert found == []


def test_no_function_changes_a_global() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path in modules(*PACKAGES)
        for node in nodes(path)
        if isinstance(node, ast.Global)
    ]

    assert found == []


def test_nothing_prints() -> None:
    """The command line speaks through click, the server through its log."""
    found = [
        f"{name(path)}:{node.lineno}"
        for path in modules(*PACKAGES)
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]

    assert found == []


def test_every_module_says_what_it_is_for() -> None:
    missing = [name(path) for path in modules(*PACKAGES) if not ast.get_docstring(tree(path))]

    assert missing == []


def test_every_module_says_what_it_offers() -> None:
    """``__all__`` is there; but in packages' ``__init__`` that hold nothing beside a docstring."""
    missing = [name(path) for path in modules(*PACKAGES) if len(tree(path).body) > 1 and not _has_all(tree(path))]

    assert missing == []


def test_what_all_names_exists() -> None:
    wrong = [
        f"{name(path)}: {word}"
        for path in modules(*PACKAGES)
        for word in sorted(_exported(tree(path)) - _defined(path))
        if "__getattr__" not in _defined(path) and not path.with_name(f"{word}.py").exists()
    ]

    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_has_a_name_that_means_everything(package: str) -> None:
    vague = [name(path) for path in (ROOT / package).rglob("*.py") if set(path.stem.lower().split("_")) & VAGUE_NAMES]

    assert vague == []


def test_no_file_tells_of_one_machine_or_registry() -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()[:80]}"
        for path in tracked()
        if path != Path(__file__).resolve()
        for number, line in enumerate(_text(path).splitlines(), start=1)
        if MACHINE_TEXT.search(line)
    ]

    assert found == []


def test_locks_pin_every_dependency_by_hash_and_name_no_index() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock", "requirements-slow.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]

        assert "://" not in text
        assert [line for line in pinned if not re.match(r"[a-z0-9][a-z0-9.-]*==\S+ ", line)] == []
        assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", text.strip()) if block[0] != "#")


def test_developers_and_servers_run_the_same_versions() -> None:
    run, develop = (_pins(ROOT / lock) for lock in ("requirements.lock", "requirements-dev.lock"))

    assert run.items() <= develop.items()


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def _names(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def _imported(path: Path, source: str) -> set[str]:
    froms = [node for node in nodes(path) if isinstance(node, ast.ImportFrom) and node.module == source]
    return {word for node in froms for word in _names(node)}


def _is_os(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "os"


def _top_level(module: ast.Module) -> Iterator[tuple[int, str, ast.expr]]:
    for node in module.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield node.lineno, target.id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.lineno, node.target.id, node.value


WRITING = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
    "setdefault", "sort", "update",
}  # fmt: skip


def _state(path: Path) -> Iterator[tuple[int, str, str]]:
    literals = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    makers = {"list", "dict", "set", "defaultdict", "deque", "Counter", "OrderedDict", "bytearray", "count"}
    written = set(_written(path))
    for line, target, value in _top_level(tree(path)):
        made = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in makers
        if target == "__all__" or not (isinstance(value, literals) or made):
            continue
        if target != target.upper():
            yield line, target, "is not named as a constant"
        if made and isinstance(value, ast.Call) and not value.args:
            yield line, target, "begins empty, so somebody means to fill it"
        if target in written:
            yield line, target, "is written to"


def _written(path: Path) -> Iterator[str]:
    """Names that a line below writes into: `NAME[…] = …`, `del NAME[…]`, `NAME |= …`, `NAME.append(…)`."""
    for node in nodes(path):
        match node:
            case ast.Subscript(value=ast.Name(id=target), ctx=ast.Store() | ast.Del()):
                yield target
            case ast.AugAssign(target=ast.Name(id=target)):
                yield target
            case ast.Call(func=ast.Attribute(value=ast.Name(id=target), attr=method)) if method in WRITING:
                yield target


def _has_all(module: ast.Module) -> bool:
    return any(target == "__all__" for _, target, _ in _top_level(module))


def _exported(module: ast.Module) -> set[str]:
    values = [value for _, target, value in _top_level(module) if target == "__all__"]
    return {item.value for value in values if isinstance(value, ast.List | ast.Tuple)
            for item in value.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)}  # fmt: skip


def _defined(path: Path) -> set[str]:
    defined: set[str] = {target for _, target, _ in _top_level(tree(path))}
    for node in nodes(path):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            defined |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return defined

"""The rules of the house: sizes, documentation, types, and who may import whom."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "hj212gw"
SIMULATORS = ROOT / "simulators" / "hj212sim"

MODULE_LINES = 400
FUNCTION_LINES = 40  # its docstring not counted
PARAMETERS = 5  # self and cls not counted; commands are exempt, where typer makes an option of each parameter

# Who may be imported from whom, downwards only; what is not named is free to everybody.
LAYERS = {
    "errors": set(),
    "protocol": {"errors"},
    "journal": {"errors", "events", "telemetry", "clock"},
    "store": {
        "errors", "events", "telemetry", "telemetry_assessment", "telemetry_gateway", "telemetry_store", "clock", "protocol",
        "config",
    },
    "registry": {"errors", "events", "telemetry", "clock", "protocol", "store", "config"},
    "evidence": {"errors", "clock", "protocol", "store", "registry"},
    "assessment": {
        "errors", "events", "telemetry", "telemetry_assessment", "telemetry_gateway", "clock", "protocol", "store",
        "registry", "config", "config_assessment",
    },
    "gateway": {
        "errors", "events", "telemetry", "telemetry_access", "telemetry_gateway", "telemetry_store", "clock", "protocol",
        "journal", "store", "registry", "config", "merging",
    },
    "merging": {"errors", "telemetry"},
    "telemetry": {"errors", "events", "logs"},
    "telemetry_access": {"errors", "telemetry"},
    "telemetry_assessment": {"errors", "telemetry"},
    "telemetry_gateway": {"errors", "telemetry"},
    "telemetry_store": {"errors", "telemetry"},
    "clock": {"errors"},
    "events": {"errors"},
    "logs": {"errors", "config", "events"},
    "config": {"errors", "config_assessment", "config_options"},
    "config_assessment": {"errors", "config_options"},
    "config_loading": {"errors", "config", "config_layers", "config_options"},
    "config_layers": {"errors", "config_options", "logs"},
    "config_options": {"errors"},
}  # fmt: skip
# Where a library may be imported; `import_name: places`, a place being a file or a folder of the package.
HOMES = {
    "asyncpg": ("store/",),
    "uvloop": ("cli/",),
    "typer": ("cli/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "prometheus_client": ("telemetry.py", "http.py"),
    "structlog": ("logs.py", "telemetry.py"),
    "pydantic": ("config.py", "config_assessment.py", "config_options.py", "registry/", "http.py"),
    "pydantic_settings": ("config.py", "config_assessment.py"),
    "crcmod": ("protocol/crc.py",),
    "cryptography": ("protocol/cipher.py", "gateway/certificates.py"),
    "sqlite3": ("journal/",),
    "xlsxwriter": ("assessment/workbook.py",),
}
PURE = ("protocol/", "assessment/rates.py", "assessment/stages.py", "assessment/verdicts.py")
IMPURE_MODULES = {"asyncio", "socket", "time", "os", "random", "logging", "threading", "subprocess", "ssl", "select"}
PURE_LIBRARIES = {"crcmod", "cryptography"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(folder: Path) -> list[Path]:
    """Return the modules of a package."""
    return sorted(path for path in folder.rglob("*.py") if path.stat().st_size)


def name_of(path: Path) -> str:
    """Return a module's path for a test's id."""
    return path.relative_to(ROOT).as_posix()


for_every_module = pytest.mark.parametrize("path", [*modules(SOURCE), *modules(SIMULATORS)], ids=name_of)
for_every_source = pytest.mark.parametrize("path", modules(SOURCE), ids=name_of)


def parse(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[Function]:
    """Yield every function, methods and inner ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public_definitions(tree: ast.Module) -> Iterator[Function | ast.ClassDef]:
    """Yield functions, classes and methods that others may use."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (
                    member for member in node.body if isinstance(member, Function) and not member.name.startswith("_")
                )


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything a module imports, at its head or later."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            assert node.module is not None
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def is_cli(path: Path) -> bool:
    """Tell whether a module declares commands, whose options are parameters."""
    return path.parent.name == "cli" or path.stem == "cli"


def cleans_up(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler only puts something in order and raises the same error on."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def counts_it(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler first counts and tells the fault that it lets nothing else be held up by."""
    return ast.unparse(handler.body[0]).startswith("telemetry_gateway.fault_contained(")


def room_of(path: Path) -> str:
    """Return the package or module of the first level a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@for_every_module
def test_module_is_not_too_long(path: Path) -> None:
    """A module that grows over the limit is two modules."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES


@for_every_module
def test_functions_are_small(path: Path) -> None:
    """Few lines and few parameters."""
    for function in functions(parse(path)):
        size = (function.end_lineno or 0) - function.lineno + 1
        if ast.get_docstring(function) is not None:
            size -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
        assert size <= FUNCTION_LINES, f"{function.name} in line {function.lineno}"
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        count = len([argument for argument in arguments if argument.arg not in {"self", "cls"}])
        assert count <= PARAMETERS or is_cli(path), f"{function.name} in line {function.lineno}"


@for_every_module
def test_module_and_public_names_are_documented(path: Path) -> None:
    """With a sentence at least."""
    tree = parse(path)
    assert ast.get_docstring(tree)
    for node in public_definitions(tree):
        assert ast.get_docstring(node), f"{node.name} in line {node.lineno}"


@for_every_module
def test_functions_say_what_they_return(path: Path) -> None:
    """Everything is typed."""
    for function in functions(parse(path)):
        assert function.returns is not None, f"{function.name} in line {function.lineno}"


@for_every_module
def test_no_error_is_caught_blindly(path: Path) -> None:
    """A fault that nobody thought of must be seen; cleaning up and raising it on is no catch, counting it is seeing."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ExceptHandler) and not cleans_up(node) and not counts_it(node):
            assert node.type is not None, f"line {node.lineno}"
            caught = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
            assert not caught & {"Exception", "BaseException"}, f"line {node.lineno}"


@for_every_source
def test_imports_go_downwards(path: Path) -> None:
    """Cli > gateway | assessment | evidence > registry > store | journal > protocol > errors; neighbours never."""
    allowed = LAYERS.get(room_of(path))
    for line, name in imports(parse(path)):
        top, *rest = name.split(".")
        assert top not in {"hj212sim", "tests", "bench"}, f"line {line}"
        if top == "hj212gw" and rest and rest[0] != "__version__" and allowed is not None:
            assert rest[0] in allowed | {room_of(path)}, f"line {line}: {name}"


@for_every_source
def test_libraries_are_imported_where_they_belong(path: Path) -> None:
    """Each third-party library has a home."""
    place = path.relative_to(SOURCE).as_posix()
    for line, name in imports(parse(path)):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or place.startswith(homes), f"line {line}: {name}"


@for_every_source
def test_third_party_libraries_are_known_here(path: Path) -> None:
    """A new dependency gets a home, and with it a reason."""
    for line, name in imports(parse(path)):
        top = name.split(".")[0]
        assert top in sys.stdlib_module_names or top in HOMES or top == "hj212gw", f"line {line}: {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in modules(SOURCE) if path.relative_to(SOURCE).as_posix().startswith(PURE)],
    ids=name_of,
)
def test_pure_modules_do_no_io(path: Path) -> None:
    """The same bytes give the same rows: no clock, no network, no chance."""
    for line, name in imports(parse(path)):
        top = name.split(".")[0]
        assert top not in IMPURE_MODULES, f"line {line}: {name}"
        assert top in sys.stdlib_module_names | PURE_LIBRARIES or name.startswith(
            ("hj212gw.protocol", "hj212gw.errors", "hj212gw.assessment")
        ), f"line {line}: {name}"


@pytest.mark.parametrize("path", [*modules(SIMULATORS), *modules(ROOT / "bench")], ids=name_of)
def test_what_stands_outside_uses_public_names(path: Path) -> None:
    """Simulators and benchmarks import nothing that begins with an underscore."""
    for line, name in imports(parse(path)):
        assert not any(part.startswith("_") for part in name.split(".") if part != "__future__"), f"line {line}: {name}"

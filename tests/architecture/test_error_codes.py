"""docs/errors.md lists exactly the codes that the code can raise or report."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mocap", "calibration", "exporters", "sessions")
CONSTRUCTORS = {"MocapError", "InputError", "SetupError", "Cancelled", "Diagnostic"}
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def sources() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def strings(node: ast.expr) -> list[str] | None:
    """Return the constant strings that an expression can be (`"a" if x else "b"` is two), or None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        yes, no = strings(node.body), strings(node.orelse)
        return yes + no if yes is not None and no is not None else None
    return None


def scan(modules: list[tuple[str, str]]) -> tuple[set[str], list[str]]:
    """Return the codes in the sources, and places whose code cannot be read from the source.

    A function with a parameter `code` that hands it on counts as a constructor of its own, as does a subclass.
    """
    trees = [(name, ast.parse(text)) for name, text in modules]
    position = dict.fromkeys(CONSTRUCTORS, 0)
    for _ in range(4):
        for _, tree in trees:
            position |= _subclasses(tree, position) | _hand_on(tree, position)
    codes: set[str] = set()
    unreadable: list[str] = []
    for name, tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                codes |= _default_code(node)
        for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call) and name_of(n.func) in position):
            argument = _code_argument(call, position[name_of(call.func)])
            found = strings(argument) if argument is not None else []
            if found is None and argument is not None:
                found = _assigned(tree, argument) or _from_table(tree, argument)
            if found is not None:
                codes |= set(found)
            elif not (_is_handed_on(argument) or _is_parameter_named_code(tree, call, argument)):
                unreadable.append(f"{name}:{call.lineno}")
    return codes, unreadable


def _code_argument(call: ast.Call, position: int) -> ast.expr | None:
    named = [k.value for k in call.keywords if k.arg == "code"]
    if named:
        return named[0]
    return call.args[position] if len(call.args) > position else None


def _subclasses(tree: ast.Module, known: dict[str, int]) -> dict[str, int]:
    classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    return {c.name: 0 for c in classes if any(name_of(b) in known for b in c.bases)}


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    yield from (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name != "__init__")


def _hand_on(tree: ast.Module, known: dict[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for function in _functions(tree):
        names = [a.arg for a in function.args.posonlyargs + function.args.args if a.arg not in ("self", "cls")]
        if "code" in names + [a.arg for a in function.args.kwonlyargs]:
            calls = [n for n in ast.walk(function) if isinstance(n, ast.Call) and name_of(n.func) in known]
            if calls:
                found[function.name] = names.index("code") if "code" in names else len(names) + 99
    return found


def _default_code(function: ast.FunctionDef) -> set[str]:
    arguments = function.args.args
    defaults = dict(zip([a.arg for a in arguments[::-1]], function.args.defaults[::-1], strict=False))
    return set(strings(defaults["code"]) or []) if "code" in defaults else set()


def _assigned(tree: ast.Module, argument: ast.expr) -> list[str] | None:
    """Return the codes that the module assigns to the name that an argument is, or None."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(argument, ast.Name) and name_of(node.targets[0]) == argument.id:
            found += strings(node.value) or []
    return found or None


def _is_handed_on(argument: ast.expr | None) -> bool:
    """Return whether the code is that of another error (`error.code`), which is found where that one is made."""
    return isinstance(argument, ast.Attribute) and argument.attr == "code"


def _from_table(tree: ast.Module, argument: ast.expr) -> list[str] | None:
    """Return the codes of a literal table `{...: (code, ...)}` that `code, ... = TABLE[key]` reads, or None."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)):
            continue
        targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else []
        if not targets or name_of(targets[0]) != name_of(argument):
            continue
        for table in (n for n in tree.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Dict)):
            if name_of(table.targets[0]) == name_of(node.value.value) and isinstance(table.value, ast.Dict):
                rows = [v.elts[0] for v in table.value.values if isinstance(v, ast.Tuple)]
                return [code for row in rows for code in strings(row) or []]
    return None


def _is_parameter_named_code(tree: ast.Module, call: ast.Call, argument: ast.expr | None) -> bool:
    inside = [f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) and call in list(ast.walk(f))]
    takes_code = any(a.arg == "code" for f in inside for a in f.args.args + f.args.kwonlyargs)
    return takes_code and argument is not None and name_of(argument) == "code"


def documented(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


def test_the_list_of_codes_is_the_codes_in_the_code() -> None:
    codes, unreadable = scan(list(sources()))
    listed = documented((ROOT / "docs" / "errors.md").read_text("utf-8"))
    assert unreadable == [], "write the code as a string where the error is made"
    assert sorted(codes - set(listed)) == [], "not listed in docs/errors.md"
    assert sorted(set(listed) - codes) == [], "listed in docs/errors.md, but nothing raises it"
    assert len(listed) == len(set(listed))


def test_codes_are_kebab_case() -> None:
    codes, _ = scan(list(sources()))
    assert [c for c in codes if not CODE.fullmatch(c)] == []


def test_the_scan_finds_codes_however_they_are_written() -> None:
    source = """
class RigError(InputError):
    pass
def fail(what, code):
    raise InputError(code, what, "Do.")
def f(x):
    fail("it", "through-a-function")
    fail("it", code="by-keyword")
    Diagnostic(code="of-a-diagnostic", severity=1, message="")
    raise RigError("left" if x else "right", "m", "a")
TABLE = {1: ("of-a-table", "advice")}
def g(x):
    code, advice = TABLE[x]
    raise SetupError(code, "m", advice)
def h(x, error):
    kind = "assigned" if x else "assigned-too"
    Diagnostic(error.code, 1, "")
    raise SetupError(kind, "m", "a")
"""
    codes, unreadable = scan([("m.py", source)])
    assert codes == {
        *("through-a-function", "by-keyword", "of-a-diagnostic", "left", "right", "of-a-table"),
        *("assigned", "assigned-too"),
    }
    assert unreadable == []


def test_a_code_that_cannot_be_read_is_reported() -> None:
    assert scan([("m.py", "def f(x):\n    raise InputError(x.name, 'm', 'a')")])[1] == ["m.py:2"]

"""The docstrings of public functions: the errors raised, the shapes of arrays returned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "shelfmark"
FILES = sorted(SOURCE.rglob("*.py"))
ALIASES = re.findall(r"^(\w+) = ", (SOURCE / "core/arrays.py").read_text(), re.MULTILINE)
ARRAY = re.compile(rf"\b({'|'.join(ALIASES)}|NDArray|ndarray|cs[rc]_matrix)\b")
SHAPE = re.compile(
    r"\bshape\b|\(\w[\w ]*, \w[\w ]*\)|\brows?\b|\bcolumns?\b|\bone a\b|\b(?:for|of) each\b"
    r"|\beach (paper|row|class|term|document|token)\b|\bso many\b",
    re.IGNORECASE,
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Yield the functions and methods that others may call, each with its full name.

    The commands of `shelfmark` are left out: their docstrings are their help.
    """
    for node in tree.body:
        if isinstance(node, Function) and node.name[0] != "_" and not is_command(node):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and node.name[0] != "_":
            for one in node.body:
                if isinstance(one, Function) and (one.name[0] != "_" or one.name == "__init__"):
                    yield f"{node.name}.{one.name}", one


def is_command(node: Function) -> bool:
    return any(".command" in ast.unparse(one) for one in node.decorator_list)


def raises(node: ast.AST) -> bool:
    """Whether a node raises a ShelfmarkError that nothing in it catches."""
    if isinstance(node, ast.Raise):
        return isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func) == "ShelfmarkError"
    children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Try) and any(
        "ShelfmarkError" in ast.unparse(one.type) for one in node.handlers if one.type
    ):
        children = [*node.handlers, *node.orelse, *node.finalbody]
    if isinstance(node, ast.With) and "one_line_errors" in ast.unparse(node.items[0]):
        return False
    return any(raises(one) for one in children if not isinstance(one, Function))


def documented(file: Path) -> Iterator[tuple[str, str, Function]]:
    """Yield each public function of a file: where it stands, its docstring and its tree.

    The docstring of `__init__` is that of its class.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    heads = {node.name: ast.get_docstring(node) or "" for node in tree.body
             if isinstance(node, ast.ClassDef)}  # fmt: skip
    for name, function in public(tree):
        text = ast.get_docstring(function) or ""
        if function.name == "__init__":
            text += heads[name.partition(".")[0]]
        yield f"{file.relative_to(SOURCE)}: {name}", text, function


def test_the_docstring_names_an_error_that_a_user_can_mend() -> None:
    section = re.compile(r"^\s*Raises:\n(?:.*\n)*?\s+ShelfmarkError: \S", re.MULTILINE)
    missing = [
        place
        for file in FILES
        for place, text, function in documented(file)
        if raises(function) and not section.search(text)
    ]
    assert missing == []


def test_the_docstring_gives_the_shape_of_an_array_that_is_returned() -> None:
    missing = []
    for file in FILES:
        for place, text, function in documented(file):
            if function.returns is None or not ARRAY.search(ast.unparse(function.returns)):
                continue
            arrays = [argument.arg for argument in function.args.args if argument.annotation
                      and ARRAY.search(ast.unparse(argument.annotation))]  # fmt: skip
            if not (SHAPE.search(text) or any(f"`{name}`" in text for name in arrays)):
                missing.append(place)
    assert missing == []

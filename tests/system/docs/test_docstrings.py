"""What the docstrings of public functions promise: the errors they raise, the shapes of arrays."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "shelfmark"
FILES = sorted(SOURCE.rglob("*.py"))
ARRAY = re.compile(r"\b(NDArray|ndarray|csr_matrix|csc_matrix|Floats|Scores|Indicator|Numbers)\b")
SHAPE = re.compile(
    r"\bshape\b|\(\w[\w ]*, \w[\w ]*\)|\brows?\b|\bcolumns?\b|\bone a\b|\b(?:for|of) each\b"
    r"|\beach (paper|row|class|term|document|token)\b|\bso many\b",
    re.IGNORECASE,
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Yield the functions and methods that others may call, each with its full name."""
    for node in tree.body:
        if isinstance(node, Function) and node.name[0] != "_":
            yield node.name, node
        if isinstance(node, ast.ClassDef) and node.name[0] != "_":
            for one in node.body:
                if isinstance(one, Function) and (one.name[0] != "_" or one.name == "__init__"):
                    yield f"{node.name}.{one.name}", one


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


@pytest.mark.parametrize("file", FILES, ids=lambda x: x.relative_to(SOURCE).as_posix())
def test_an_error_that_a_user_can_mend_is_named(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    heads = {node.name: ast.get_docstring(node) or "" for node in tree.body
             if isinstance(node, ast.ClassDef)}  # fmt: skip
    for name, function in public(tree):
        told = (ast.get_docstring(function) or "") + heads.get(name.partition(".")[0], "") * (
            function.name == "__init__"
        )
        if raises(function):
            assert re.search(r"^\s*Raises:\n(?:.*\n)*?\s+ShelfmarkError: \S", told, re.MULTILINE), (
                name
            )


@pytest.mark.parametrize("file", FILES, ids=lambda x: x.relative_to(SOURCE).as_posix())
def test_an_array_that_comes_back_has_its_shape_told(file: Path) -> None:
    for name, function in public(ast.parse(file.read_text(encoding="utf-8"))):
        if function.returns is None or not ARRAY.search(ast.unparse(function.returns)):
            continue
        told = ast.get_docstring(function) or ""
        given = [argument.arg for argument in function.args.args if argument.annotation
                 and ARRAY.search(ast.unparse(argument.annotation))]  # fmt: skip
        assert SHAPE.search(told) or any(f"`{one}`" in told for one in given), name

"""Einsum of two tensors as one MatMul between transpositions."""

from __future__ import annotations

from collections.abc import Sequence

from kexport.conversion.tf2onnx_nodes import Nodes


def einsum(op: Nodes) -> str:
    """Write an Einsum as a MatMul where one letter is summed and each factor has one of its own.

    Letters that both tensors and the result have are the batch of the MatMul, as in attention;
    without any, one factor may have several of its own, as a projection does. MatMul reads tensors
    of any sizes. Any other equation is an Einsum of ONNX.
    """
    equation = op.node.get_attr_value("equation").decode().replace(" ", "")
    matrices = _matrices(equation)
    if matrices is None:
        return op("Einsum", *op.inputs, equation=equation)
    left, right, product, result, swapped = matrices
    pairs = list(zip(op.inputs, equation.partition("->")[0].split(","), strict=True))
    (x, of_x), (y, of_y) = reversed(pairs) if swapped else pairs
    found = op("MatMul", _permuted(op, x, of_x, left), _permuted(op, y, of_y, right))
    return _permuted(op, found, product, result)


def _matrices(equation: str) -> tuple[str, str, str, str, bool] | None:
    """Return the letters of the factors of a MatMul, of its product, and of the result.

    The last value tells whether the second tensor is the left factor. None where the equation is no
    MatMul.
    """
    terms, arrow, result = equation.partition("->")
    first, comma, second = terms.partition(",")
    letters = first + second + result
    repeated = any(len(set(term)) != len(term) for term in (first, second, result))
    if not arrow or not comma or not letters.isalpha() or repeated:
        return None
    batch = [letter for letter in result if letter in first and letter in second]
    summed = [letter for letter in first if letter in second and letter not in result]
    rows = [letter for letter in first if letter not in second]
    columns = [letter for letter in second if letter not in first]
    own = sorted((len(rows), len(columns)))
    whole = set(result) == {*batch, *rows, *columns}
    if not whole or len(summed) != 1 or own[0] != 1 or (own[1] > 1 and batch):
        return None
    swapped = len(columns) > 1 or (own[1] == 1 and result.index(rows[0]) > result.index(columns[0]))
    if swapped:
        rows, columns = columns, rows
    left, right, product = (
        "".join(batch + ends) for ends in (rows + summed, summed + columns, rows + columns)
    )
    return left, right, product, result, swapped


def _permuted(op: Nodes, value: str, before: Sequence[str], after: Sequence[str]) -> str:
    """Transpose a tensor whose axes are `before` to `after`."""
    if list(before) == list(after):
        return value
    return op("Transpose", value, perm=[before.index(letter) for letter in after])

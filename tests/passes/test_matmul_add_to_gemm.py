"""matmul_add_to_gemm: a matrix product and its bias."""

from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.matmul_add_to_gemm import matmul_add_to_gemm


def test_one_node() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 4)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))))
    changed = assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 3)})
    assert operators(changed) == {"Gemm": 1}


def test_a_stack_of_matrices_stays() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 5, 3]), s.constant("w", normal(3, 4)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))))
    changed = assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 5, 3)})
    assert operators(changed) == {"MatMul": 1, "Add": 1}


def test_a_product_that_others_read_stays() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 4)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))), s.op("Relu", y))
    changed = assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 3)})
    assert operators(changed)["MatMul"] == 1


def test_a_bias_longer_than_the_product_is_wide_stays() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 1)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))))
    assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 3)})

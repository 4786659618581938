"""matmul_add_to_gemm: a MatMul and its bias as one Gemm."""

from support import Sketch, assert_pure_and_equal, normal, operators

from kexport.passes.matmul_add_to_gemm import matmul_add_to_gemm


def test_matmul_and_add_become_one_gemm() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 4)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))))
    changed = assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 3)})
    assert operators(changed) == {"Gemm": 1}


def test_batched_matmul_stays() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 5, 3]), s.constant("w", normal(3, 4)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))))
    changed = assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 5, 3)})
    assert operators(changed) == {"MatMul": 1, "Add": 1}


def test_a_matmul_with_other_readers_stays() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 4)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))), s.op("Relu", y))
    changed = assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 3)})
    assert operators(changed)["MatMul"] == 1


def test_a_bias_that_broadcasts_the_result_stays() -> None:
    s = Sketch()
    y = s.op("MatMul", s.input("x", [2, 3]), s.constant("w", normal(3, 1)))
    model = s.model(s.op("Add", y, s.constant("b", normal(4))))
    assert_pure_and_equal(matmul_add_to_gemm, model, {"x": normal(2, 3)})

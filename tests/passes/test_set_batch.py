"""set_batch: the first axis of every input."""

from support import Sketch, snapshot

from kexport.passes.set_batch import set_batch


def graph() -> Sketch:
    s = Sketch()
    a, b = s.input("a", ["batch", 3]), s.input("b", [1, 3])
    s.graph.outputs.append(s.op("Add", a, b))
    return s


def test_an_open_batch_is_set_and_a_fixed_one_kept() -> None:
    model = graph().model()
    before = snapshot(model)
    fixed = set_batch(4)(model)
    assert [list(value.shape or ()) for value in fixed.graph.inputs] == [[4, 3], [1, 3]]
    assert snapshot(model) == before


def test_none_leaves_the_batch_open() -> None:
    shape = set_batch(None)(graph().model()).graph.inputs[0].shape
    assert shape is not None
    assert str(shape[0]) == "batch"

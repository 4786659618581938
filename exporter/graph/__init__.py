"""ONNX graph: edits, emission of nodes, passes, shape inference and serialization."""

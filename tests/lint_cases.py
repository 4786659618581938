"""A tiny graph that breaks each lint rule, and one that does not."""

from __future__ import annotations

from dataclasses import dataclass

HALF_QDQ = "float16[1,8] x) => (float16[1,8] z) <float16 s = {14336}, int8 p = {0}>"
"""The parser takes float16 as bits: 14336 is 0.5."""
QDQ = "float[1,8] x) => (float[1,8] z) <float s = {0.5}, int8 p = {0}>"
SPARSE = "(float[4] x) => (float[4] y) { y = Add(x, w) }"
"""`parsed` adds w as a sparse initializer: the text has none."""


@dataclass(frozen=True)
class Case:
    device: str
    tensorrt: str
    bad: str
    good: str
    opset: int = 13
    """Of both graphs, unless a graph says another in front: `18: (float x) ...`."""
    imports: str = ""
    node: str = "y"
    """Where the bad graph is wrong."""


CASES = {
    "axes-input": Case(
        "trt",
        "8.6",
        "(float[2,3] x) => (float[2,1] y) <int64[1] axes = {1}> { y = ReduceMean(x, axes) }",
        "13: (float[2,3] x) => (float[2,1] y) { y = ReduceMean <axes = [1]> (x) }",
        opset=18,
    ),
    "opset-cap": Case(
        "trt",
        "8.6",
        "18: (float[2] x) => (float[2] y) { y = Relu(x) }",
        "17: (float[2] x) => (float[2] y) { y = Relu(x) }",
        node="",
    ),
    "unsigned-quantization": Case(
        "trt",
        "10.3",
        "(float[4] x) => (float[4] z) <float s = {0.5}, uint8 p = {0}>"
        " { y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }",
        f"({QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
    ),
    "scale-type": Case(
        "trt",
        "8.6",
        f"({HALF_QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
        f"({QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
        opset=19,
    ),
    "int64-range": Case(
        "jetson-nano",
        "8.2",
        "(float[4] x) => (float[4] z) <int64 k = {4294967296}>"
        " { y = Cast <to = 1> (k) z = Add(x, y) }",
        "(float[4] x) => (float[2] y) <int64[1] a = {0}, int64[1] b = {9223372036854775807}>"
        " { y = Slice(x, a, b, a) }",
    ),
    "resize-of-branch": Case(
        "trt",
        "11.2",
        "(float[1,4,4,3] x, bool c) => (float[1,3,8,8] y) <float[4] s = {1,1,2,2}> {"
        " a = If (c) <then_branch = t () => (float[1,4,4,3] u) { u = Relu(x) },"
        " else_branch = e () => (float[1,4,4,3] v) { v = Neg(x) }>"
        ' b = Transpose <perm = [0,3,1,2]> (a) y = Resize <mode = "linear"> (b, , s) }',
        "(float[1,4,4,3] x) => (float[1,3,8,8] y) <float[4] s = {1,1,2,2}> {"
        ' b = Transpose <perm = [0,3,1,2]> (x) y = Resize <mode = "linear"> (b, , s) }',
    ),
    "float32-argument": Case(
        "jetson-xavier",
        "8.4",
        "(float16[4] x) => (float16[4] y) <float16 a = {0}> { y = Clip(x, a) }",
        "(float[4] x) => (float[4] y) <float a = {0}> { y = Clip(x, a) }",
    ),
    "half-weights": Case(
        "jetson-nano",
        "8.2",
        "(float16[1] x) => (float16[1] z) <float16[1] w = {1}> { y = Mul(x, w) z = Mul(y, w) }",
        "(float[1] x) => (float[1] y) <float[1] w = {1}> { y = Mul(x, w) }",
    ),
    "recurrent-layout": Case(
        "trt",
        "11.4",
        "(float[1,2,3] x, float[1,6,3] w, float[1,6,2] r) => (y)"
        " { y = GRU <hidden_size = 2, layout = 1> (x, w, r) }",
        "(float[2,1,3] x, float[1,6,3] w, float[1,6,2] r) => (y)"
        " { y = GRU <hidden_size = 2> (x, w, r) }",
        opset=14,
    ),
    "scatter-reduction": Case(
        "trt",
        "8.6",
        "(float[4] x, int64[1] i, float[1] u) => (float[4] y)"
        ' { y = ScatterElements <reduction = "add"> (x, i, u) }',
        "(float[4] x, int64[1] i, float[1] u) => (float[4] y) { y = ScatterElements(x, i, u) }",
        opset=16,
    ),
    "operator": Case(
        "trt",
        "8.5",
        "(float[2,3] x) => (float[2,3] y) <float[3] g = {1,1,1}> { y = LayerNormalization(x, g) }",
        "(float[2,3] x) => (float[2,3] y) { y = HardSwish(x) }",
        opset=17,
    ),
    "contributed-operator": Case(
        "trt",
        "11.4",
        "(float[2] x) => (float[2] y) { y = com.microsoft.Gelu(x) }",
        "20: (float[2] x) => (float[2] y) { y = Gelu(x) }",
        imports=', "com.microsoft" : 1',
    ),
    "local-function": Case(
        "trt",
        "8.6",
        "(float[2] x) => (float[2] y) { y = own.twice(x) }"
        ' <opset_import: ["" : 13], domain: "own"> twice (a) => (b) { b = Add(a, a) }',
        "(float[2] x) => (float[2] y) { y = Add(x, x) }",
        imports=', "own" : 1',
    ),
    "split-count": Case(
        "trt",
        "8.6",
        "18: (float[4] x) => (float[2] y, float[2] z) { y, z = Split <num_outputs = 2> (x) }",
        "(float[4] x) => (float[2] y, float[2] z) { y, z = Split(x) }",
    ),
    "computed-input": Case(
        "trt",
        "8.5",
        "(float[4] x, int64[1] k) => (float[2] y, int64[2] i) { y, i = TopK(x, k) }",
        "(float[4] x) => (float[2] y, int64[2] i) <int64[1] k = {2}> { y, i = TopK(x, k) }",
    ),
    "attribute": Case(
        "trt",
        "11.4",
        "(float[1,1,4,4] x) => (float[1,1,8,8] y) <float[4] s = {1,1,2,2}>"
        ' { y = Resize <mode = "nearest", nearest_mode = "floor",'
        ' coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, , s) }',
        "(float[1,1,4,4] x) => (float[1,1,8,8] y) <float[4] s = {1,1,2,2}>"
        ' { y = Resize <mode = "nearest",'
        ' coordinate_transformation_mode = "tf_half_pixel_for_nn"> (x, , s) }',
    ),
    "input-type": Case(
        "trt",
        "11.4",
        "(int32[2,2] x) => (int32[2,2] y) { y = MatMul(x, x) }",
        "(float[2,2] x) => (float[2,2] y) { y = MatMul(x, x) }",
    ),
    "rank": Case(
        "trt",
        "11.4",
        "(float[2] x) => (float[2] z) <int64[9] s = {1,1,1,1,1,1,1,1,2}, int64[1] q = {2}>"
        " { y = Reshape(x, s) z = Reshape(y, q) }",
        "(float[2] x) => (float[2] z) <int64[8] s = {1,1,1,1,1,1,1,2}, int64[1] q = {2}>"
        " { y = Reshape(x, s) z = Reshape(y, q) }",
    ),
    "resized-axes": Case(
        "trt",
        "11.4",
        "(float[1,1,2,2] x) => (float[2,1,4,4] y) <float[4] s = {2,1,2,2}>"
        ' { y = Resize <mode = "linear"> (x, , s) }',
        "(float[1,2,2,1] x) => (float[1,4,4,1] y) <float[4] s = {1,2,2,1}>"
        ' { y = Resize <mode = "linear"> (x, , s) }',
    ),
    "float-shape": Case(
        "trt",
        "11.4",
        "(float[4] x) => (float[N] y) <float a = {0}, float c = {1}>"
        " { b = ReduceMax <keepdims = 0> (x) y = Range(a, b, c) }",
        "(float[4] x) => (float[N] y) <float a = {0}, float c = {1}, int64 i = {0}>"
        " { s = Shape(x) d = Gather(s, i) b = Cast <to = 1> (d) y = Range(a, b, c) }",
    ),
    "training": Case(
        "trt",
        "11.4",
        "(float[4] x) => (float[4] y) <float r = {0.5}, bool t = {1}> { y = Dropout(x, r, t) }",
        "(float[4] x) => (float[4] y) <float r = {0.5}, bool t = {0}> { y = Dropout(x, r, t) }",
    ),
    "attention": Case(
        "trt",
        "11.4",
        "(float16[1,2,4,8] x, float16[4,4] m) => (float16[1,2,4,8] y)"
        " { y = Attention <is_causal = 1> (x, x, x, m) }",
        "(float16[1,2,4,8] x, float16[4,4] m) => (float16[1,2,4,8] y)"
        " { y = Attention(x, x, x, m) }",
        opset=23,
    ),
    "vector-times-stack": Case(
        "trt",
        "11.4",
        "(float[2] x, float[3,2,4] w) => (float[3,4] y) { y = MatMul(x, w) }",
        "(float[2] x, float[2,4] w) => (float[4] y) { y = MatMul(x, w) }",
    ),
    "top-k": Case(
        "trt",
        "11.4",
        "(float[5000] x) => (y, z) <int64[1] k = {3841}> { y, z = TopK(x, k) }",
        "(float[5000] x) => (y, z) <int64[1] k = {3840}> { y, z = TopK(x, k) }",
    ),
    "old-broadcast": Case(
        "trt",
        "11.4",
        "6: (float[4] x) => (float[4] y) { y = Add(x, x) }",
        "7: (float[4] x) => (float[4] y) { y = Add(x, x) }",
    ),
    "sparse-initializer": Case(
        "trt",
        "11.4",
        SPARSE,
        "(float[4] x) => (float[4] y) <float[4] w = {1,0,0,2}> { y = Add(x, w) }",
        node="w",
    ),
    "rtx-plugin": Case(
        "rtx",
        "",
        "(float[4] x) => (int64[1,N] y) { y = NonZero(x) }",
        "(float[4] x) => (float[4] y) { y = Relu(x) }",
    ),
    "extra-output": Case(
        "trt",
        "11.4",
        "(float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] i)"
        " { y, i = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x) }",
        "(float[1,1,4,4] x) => (float[1,1,2,2] y)"
        " { y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x) }",
    ),
    "uint8-input": Case(
        "jetson-nano",
        "8.2",
        "(uint8[1,3] x) => (float[1,3] y) { y = Cast <to = 1> (x) }",
        "(float[1,3] x) => (float[1,3] y) { y = Neg(x) }",
        node="x",
    ),
    "uint8-inside": Case(
        "trt",
        "10.3",
        "(uint8[1,3] x) => (float[3,1] z) { y = Transpose(x) z = Cast <to = 1> (y) }",
        "(uint8[1,3] x) => (float[3,1] z) { y = Cast <to = 1> (x) z = Transpose(y) }",
    ),
    "tensor-type": Case(
        "trt",
        "11.4",
        "(uint16[2] x) => (float[2] y) { y = Cast <to = 1> (x) }",
        "(int32[2] x) => (float[2] y) { y = Cast <to = 1> (x) }",
        node="x",
    ),
    "narrow-type": Case(
        "trt",
        "11.4",
        "(float[4] x) => (float[4] z) { y = Cast <to = 17> (x) z = Cast <to = 1> (y) }",
        "(float[4] x) => (float[4] z) { y = Cast <to = 10> (x) z = Cast <to = 1> (y) }",
        opset=19,
    ),
    "type-mismatch": Case(
        "trt",
        "10.3",
        "(float16[1,1,4,4] x, float16[1,1,3,3] w) => (y) <float[1] b = {1}> { y = Conv(x, w, b) }",
        "(float16[1,1,4,4] x, float16[1,1,3,3] w) => (y) <float16[1] b = {1}>"
        " { y = Conv(x, w, b) }",
    ),
    "zero-point": Case(
        "trt",
        "10.3",
        "(float[4] x) => (int8[4] y) <float s = {0.5}, int8 p = {3}>"
        " { y = QuantizeLinear(x, s, p) }",
        f"({QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
    ),
    "no-zero-point": Case(
        "trt",
        "8.6",
        "(int8[4] x) => (float[4] y) <float s = {0.5}> { y = DequantizeLinear(x, s) }",
        "(int8[4] x) => (float[4] y) <float s = {0.5}, int8 p = {0}>"
        " { y = DequantizeLinear(x, s, p) }",
    ),
    "zero-point-size": Case(
        "trt",
        "11.4",
        "() => (float[2,3] y) <int8[2,3] x = {1,2,3,4,5,6}, float[2] s = {1,2}, int8 p = {0}>"
        " { y = DequantizeLinear <axis = 0> (x, s, p) }",
        "() => (float[2,3] y) <int8[2,3] x = {1,2,3,4,5,6}, float[2] s = {1,2}, int8[2] p = {0,0}>"
        " { y = DequantizeLinear <axis = 0> (x, s, p) }",
    ),
    "scale-sign": Case(
        "trt",
        "11.4",
        "(int8[4] x) => (float[4] y) <float s = {0}, int8 p = {0}>"
        " { y = DequantizeLinear(x, s, p) }",
        "(int8[4] x) => (float[4] y) <float s = {1}, int8 p = {0}>"
        " { y = DequantizeLinear(x, s, p) }",
    ),
    "quantized-bias": Case(
        "jetson-orin",
        "10.3",
        "() => (float[4] y) <int32[4] b = {1,2,3,4}, float s = {0.5}, int32 p = {0}>"
        " { y = DequantizeLinear(b, s, p) }",
        "() => (float[4] y) <int8[4] b = {1,2,3,4}, float s = {0.5}, int8 p = {0}>"
        " { y = DequantizeLinear(b, s, p) }",
    ),
    "activation-scales": Case(
        "trt",
        "10.3",
        "(float[2,3] x) => (int8[2,3] y) <float[2] s = {1,2}, int8[2] p = {0,0}>"
        " { y = QuantizeLinear <axis = 0> (x, s, p) }",
        "() => (int8[2,3] y) <float[2,3] x = {1,2,3,4,5,6}, float[2] s = {1,2}, int8[2] p = {0,0}>"
        " { y = QuantizeLinear <axis = 0> (x, s, p) }",
    ),
    "hardware-precision": Case(
        "jetson-nano",
        "8.2",
        f"({QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
        "(float[4] x) => (float[4] y) { y = Relu(x) }",
    ),
    "bfloat16": Case(
        "jetson-xavier",
        "8.5",
        "(bfloat16[4] x) => (bfloat16[4] y) { y = Relu(x) }",
        "(float16[4] x) => (float16[4] y) { y = Relu(x) }",
    ),
    "half-scale": Case(
        "trt",
        "11.4",
        f"17: ({HALF_QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
        f"19: ({HALF_QDQ} {{ y = QuantizeLinear(x, s, p) z = DequantizeLinear(y, s, p) }}",
    ),
    "scale-axis": Case(
        "trt",
        "11.4",
        "() => (float[3,2] y) <int8[3,2] x = {1,2,3,4,5,6}, float[2] s = {1,2}, int8[2] p = {0,0}>"
        " { y = DequantizeLinear <axis = -1> (x, s, p) }",
        "(float[1,3,4,4] a) => (b)"
        " <int8[3,2,1,1] x = {1,2,3,4,5,6}, float[2] s = {1,2}, int8[2] p = {0,0}>"
        " { y = DequantizeLinear <axis = 1> (x, s, p) b = ConvTranspose(a, y) }",
    ),
    "quantized-before-norm": Case(
        "trt",
        "11.4",
        "(float[1,1,4,4] a, float[1,1,1,1] w, float[1] o) => (z) <float s = {1}, int8 p = {0}>"
        " { c = Conv(a, w) y = QuantizeLinear(c, s, p) d = DequantizeLinear(y, s, p)"
        " z = BatchNormalization(d, o, o, o, o) }",
        "(float[1,1,4,4] a, float[1,1,1,1] w, float[1] o) => (z)"
        " { c = Conv(a, w) z = BatchNormalization(c, o, o, o, o) }",
    ),
    "plugin": Case(
        "trt",
        "11.4",
        "(float[4] x) => (y) { y = TRT.EfficientNMS(x) }",
        "(float[4] x) => (float[4] y) { y = Relu(x) }",
        imports=', "TRT" : 1',
    ),
    "open-axis": Case(
        "trt",
        "11.4",
        "(float[N,4] x) => (float[N,4] y) { y = Relu(x) }",
        "(float[1,4] x) => (float[1,4] y) { y = Relu(x) }",
        node="x",
    ),
    "flat-pooling": Case(
        "trt",
        "11.4",
        "(float[1,1,4] x) => (y) { y = AveragePool <kernel_shape = [2]> (x) }",
        "(float[1,1,1,4] x) => (y) { y = AveragePool <kernel_shape = [1,2]> (x) }",
    ),
    "int64-edge": Case(
        "jetson-xavier",
        "8.5",
        "(int64[4] x) => (float[4] y) { y = Cast <to = 1> (x) }",
        "(int32[4] x) => (float[4] y) { y = Cast <to = 1> (x) }",
        node="x",
    ),
    "double": Case(
        "trt",
        "11.4",
        "(double[4] x) => (double[4] y) { y = Relu(x) }",
        "(float[4] x) => (float[4] y) { y = Relu(x) }",
    ),
}

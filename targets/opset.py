"""The ONNX opsets that kexport writes."""

from kexport.errors import BadArgument

LOWEST, HIGHEST = 13, 20
"""The first and the last opset: `kexport.passes.convert_opset` has the rules between them."""


def check_opset(opset: int) -> int:
    """Return an opset that kexport writes.

    Raises:
        BadArgument: kexport does not write it.
    """
    if not LOWEST <= opset <= HIGHEST:
        raise BadArgument(
            f"opset {opset} is not written by kexport",
            hint=f"choose one of {LOWEST} to {HIGHEST}, or leave `toolchain.opset` to the target",
        )
    return opset

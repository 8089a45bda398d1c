"""What is known to differ from PyTorch, each with its reason: (row, part) -> why. A part is values,
gradients or errors. Printed as skipped tests and in docs/ops.md."""

PARTS = ("values", "gradients", "errors")
_MEMORY = "as_strided reaches the memory around the tensor, which DLPack does not hand over"
KNOWN: dict[tuple[str, str], str] = {
    ("as_strided.partial_views", "values"): _MEMORY,
    ("as_strided.partial_views", "gradients"): _MEMORY,
}


def reason(title, part):
    return KNOWN.get((title, part))

"""What is known to differ from PyTorch, each with its reason: (row, part) -> why. A part is values,
gradients or errors. Printed as skipped tests and in docs/ops.md."""

PARTS = ("values", "gradients", "errors")
KNOWN: dict[tuple[str, str], str] = {}


def reason(title, part):
    return KNOWN.get((title, part))

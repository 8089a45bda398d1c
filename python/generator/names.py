"""What PyTorch knows of its functions that a C++ declaration does not say."""

# Functions whose first argument may be a number.
NUMBER_OPERANDS = {
    "pow", "remainder", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift",
    "bitwise_right_shift", "float_power", "xlogy", "special_xlogy", "special_xlog1py",
    "special_zeta", "where", "result_type", "can_cast", "rsub",
}

# Functions whose dimensions may be given one by one, as in x.permute(0, 2, 1).
VARARG_DIMS = {"permute", "flip", "tile", "repeat"}

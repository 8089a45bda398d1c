"""What PyTorch knows of its functions that a C++ declaration does not say."""

# Functions whose first argument may be a number.
NUMBER_OPERANDS = {
    "pow", "remainder", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift",
    "bitwise_right_shift", "float_power", "xlogy", "special_xlogy", "special_xlog1py",
    "special_zeta", "where", "result_type", "can_cast", "rsub",
}

# Functions whose dimensions may be given one by one, as in x.permute(0, 2, 1).
VARARG_DIMS = {"permute", "flip", "tile", "repeat"}

# Methods that also exist in place, with "_" behind.
IN_PLACE = set("""
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr arccos arccosh arcsin arcsinh
arctan arctan2 arctanh asin asinh atan atan2 atanh baddbmm bitwise_and bitwise_left_shift
bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip
conj_physical copysign cos cosh cumprod cumsum deg2rad digamma div divide eq erf erfc erfinv exp
exp2 expm1 fill fill_diagonal fix float_power floor floor_divide fmod frac gcd ge greater
greater_equal gt heaviside hypot i0 igamma igammac index_add index_copy index_fill index_put
index_reduce lcm ldexp le lerp less less_equal lgamma log log10 log1p log2 logical_and logical_not
logical_or logical_xor logit lt masked_fill masked_scatter mul multiply mvlgamma nan_to_num ne neg
negative nextafter not_equal polygamma pow put rad2deg reciprocal relu remainder renorm round rsqrt
scatter scatter_add scatter_reduce sgn sigmoid sign sin sinc sinh sqrt square sub subtract tan tanh
tril triu true_divide trunc xlogy
""".split())

# Functions of torch.nn.functional in place.
FUNCTION_IN_PLACE = set("""
relu elu selu celu leaky_relu hardtanh threshold rrelu
""".split())

# Functions whose tensors may be given one by one, as in meshgrid(x, y).
VARARG_TENSORS = {
    "align_tensors", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_tensors",
    "cartesian_prod", "chain_matmul", "einsum", "meshgrid",
}

# Attributes of Tensor, though functions beside it.
ATTRIBUTES = {"real", "imag"}

# Functions with tensors that must be named but may be None.
NONE_ALLOWED = {
    "batch_norm": {"running_mean", "running_var"},
    "native_batch_norm": {"weight", "bias", "running_mean", "running_var"},
    "native_layer_norm": {"weight", "bias"},
    "native_group_norm": {"weight", "bias"},
}

# Functions whose list of tensors may have None in it.
NONE_IN_LISTS = {"index", "index_put", "linear_concat"}

"""The functions of torch.nn.functional."""

from .. import _C
from .._names import take

take(globals(), _C, """
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d_with_indices
adaptive_max_pool2d_with_indices adaptive_max_pool3d_with_indices affine_grid alpha_dropout
avg_pool1d avg_pool2d avg_pool3d batch_norm bilinear binary_cross_entropy
binary_cross_entropy_with_logits celu channel_shuffle conv1d conv2d conv3d conv_tbc
conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss cosine_similarity
cross_entropy dropout dropout1d dropout2d dropout3d elu embedding embedding_bag
feature_alpha_dropout fold fractional_max_pool2d_with_indices fractional_max_pool3d_with_indices
gaussian_nll_loss gelu glu grid_sample group_norm gumbel_softmax hardshrink hardsigmoid hardswish
hardtanh hinge_embedding_loss huber_loss instance_norm interpolate kl_div l1_loss layer_norm
leaky_relu linear local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d lp_pool3d
margin_ranking_loss max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices
max_unpool1d max_unpool2d max_unpool3d mish mse_loss multi_head_attention_forward multi_margin_loss
multilabel_margin_loss multilabel_soft_margin_loss nll_loss normalize one_hot pad
pairwise_distance pdist pixel_shuffle pixel_unshuffle poisson_nll_loss prelu relu relu6 rms_norm
rrelu scaled_dot_product_attention selu sigmoid silu smooth_l1_loss soft_margin_loss softmax
softmin softplus softshrink softsign tanh tanhshrink threshold triplet_margin_loss
triplet_margin_with_distance_loss unfold upsample upsample_bilinear upsample_nearest
""")


def ctc_loss(log_probs, targets, input_lengths, target_lengths, *args, **kwargs):
    lengths = (_C._from_nested(n, _C.int64) if isinstance(n, (list, tuple)) else n
               for n in (input_lengths, target_lengths))
    return _C.ctc_loss(log_probs, targets, *lengths, *args, **kwargs)


ctc_loss.__doc__ = _C.ctc_loss.__doc__
unfold = _C.im2col  # torch.unfold is the method of that name


def _sizes(args, kwargs):
    """None in adaptive pooling's output_size keeps the size of the input."""
    named = "output_size" in kwargs
    size = kwargs["output_size"] if named else args[1] if len(args) > 1 else None
    if not isinstance(size, (list, tuple)) or None not in size:
        return args, kwargs
    input = args[0] if args else kwargs["input"]
    kept = input.shape[-len(size):]
    size = tuple(k if s is None else s for s, k in zip(size, kept))
    if named:
        return args, {**kwargs, "output_size": size}
    return (args[0], size, *args[2:]), kwargs


def _adaptive(name):
    plain = getattr(_C, name)

    def pool(*args, **kwargs):
        args, kwargs = _sizes(args, kwargs)
        return plain(*args, **kwargs)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = plain.__doc__
    return pool


for _dims in "123":
    globals()[f"adaptive_avg_pool{_dims}d"] = _adaptive(f"adaptive_avg_pool{_dims}d")


def _pooling(name):
    """max_pool2d and its like: with `return_indices` also the positions."""
    plain, both = getattr(_C, name), getattr(_C, name + "_with_indices")
    sizes = _sizes if name.startswith("adaptive") else lambda *given: given

    def pool(*args, return_indices=False, **kwargs):
        args, kwargs = sizes(args, kwargs)
        if len(args) == plain_count + 1:  # given by position
            args, return_indices = args[:-1], args[-1]
        return tuple(both(*args, **kwargs)) if return_indices else plain(*args, **kwargs)

    plain_count = 2 if name.startswith("adaptive") else 5 if name.startswith("frac") else 6
    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = plain.__doc__
    return pool


for _kind in ("max_pool", "adaptive_max_pool", "fractional_max_pool"):
    for _dims in "123":
        if hasattr(_C, f"{_kind}{_dims}d"):
            globals()[f"{_kind}{_dims}d"] = _pooling(f"{_kind}{_dims}d")


def _in_place(name):
    """relu_ and its like."""
    plain = globals()[name]

    def function(input, *args, **kwargs):
        return _C._write(input, name + "_", plain(input, *args, **kwargs))

    def with_flag(input, *args, inplace=False, **kwargs):
        result = plain(input, *args, **kwargs)
        return _C._write(input, name + "_", result) if inplace else result

    function.__name__ = function.__qualname__ = name + "_"
    with_flag.__name__ = with_flag.__qualname__ = name
    with_flag.__doc__ = plain.__doc__
    return function, with_flag


for _name in ("relu", "relu6", "elu", "selu", "celu", "leaky_relu", "hardtanh", "threshold",
              "rrelu", "silu", "mish", "hardswish", "hardsigmoid", "dropout", "dropout1d",
              "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"):
    if _name in globals():
        _function, globals()[_name] = _in_place(_name)
        if _name in ("relu", "elu", "selu", "celu", "leaky_relu", "hardtanh", "threshold",
                     "rrelu"):
            globals()[_name + "_"] = _function


def _softmax(name):
    """F.softmax and its like take no dimension too, and a dtype."""
    plain = getattr(_C, name)

    def function(input, dim=None, _stacklevel=3, dtype=None):
        if dim is None:
            dim = 0 if input.ndim in (0, 1, 3) else 1
        return plain(input, dim) if dtype is None else plain(input, dim, dtype=dtype)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = plain.__doc__
    return function


for _name in ("softmax", "log_softmax", "softmin"):
    if hasattr(_C, _name):
        globals()[_name] = _softmax(_name)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Samples of the Gumbel-softmax distribution, one-hot where `hard` (with the gradient of the
    soft ones). Jang et al. 2016."""
    noise = -_C.exponential_like(logits).log()
    soft = _C.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    return _C.zeros_like(logits).scatter(dim, index, 1.0) - soft.detach() + soft


def triplet_margin_with_distance_loss(anchor, positive, negative, *, distance_function=None,
                                      margin=1.0, swap=False, reduction="mean"):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), of any distance. With `swap` the
    negative may be compared with the positive instead, where that is nearer."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    distance = distance_function or _C.pairwise_distance
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise _C.Error("triplet_margin_with_distance_loss: the inputs differ in their dimensions")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = _C.minimum(far, distance(positive, negative))
    loss = _C.clamp_min(near - far + margin, 0)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()

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


def _projections(query, key, value, weight, bias, separate):
    """Queries, keys and values: of one weight [3 embed, embed], or of three."""
    width = query.shape[-1]
    biases = (None,) * 3 if bias is None else bias.split(width)
    weights = weight.split(width) if separate is None else separate
    return (_C.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases))


def _as_addend(mask, dtype):
    """A mask as what is added to scores: -inf where a boolean one is true."""
    if mask is None or mask.dtype is not _C.bool:
        return mask
    return _C.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))


def _heads(x, count):
    """[tokens, batch, heads * dim] as [batch, heads, tokens, dim]."""
    return x.reshape((x.shape[0], x.shape[1], count, -1)).permute(1, 2, 0, 3)


def _one_longer(x, row):
    """x with a token behind the others."""
    return _C.cat([x, row], 2)


def multi_head_attention_forward(
    query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v,
    add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None,
    need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None,
    k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None, average_attn_weights=True,
    is_causal=False,
):  # fmt: skip
    """Attention of query [tokens, batch, embed] to key and value [sources, batch, ...] with the
    weights of nn.MultiheadAttention: the result, and the weights [batch, tokens, sources] of the
    heads' average (of each head [batch, heads, ..]) or None. Without batch, all lack it."""
    batched = query.dim() == 3
    if not batched:
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    tokens, batch, embed = query.shape
    if embed != embed_dim_to_check or embed % num_heads:
        raise _C.Error(f"multi_head_attention_forward: {num_heads} heads of embed_dim "
                       f"{embed_dim_to_check} do not fit a query of {embed}")
    if is_causal and attn_mask is None:
        raise _C.Error("multi_head_attention_forward: is_causal is a hint about attn_mask, which is missing")
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _projections(query, key, value, in_proj_weight, in_proj_bias, separate)
    if bias_k is not None:
        k, v = _C.cat([k, bias_k.expand((1, batch, -1))]), _C.cat([v, bias_v.expand((1, batch, -1))])
    q, k, v = (_heads(x, num_heads) for x in (q, k, v))
    if static_k is not None:
        k = static_k.reshape((batch, num_heads, -1, embed // num_heads))
    if static_v is not None:
        v = static_v.reshape((batch, num_heads, -1, embed // num_heads))
    if add_zero_attn:
        k, v = (_one_longer(x, _C.zeros_like(x[:, :, :1])) for x in (k, v))
    mask = _as_addend(attn_mask, q.dtype)
    if mask is not None and mask.dim() == 3:
        mask = mask.reshape((batch, num_heads, *mask.shape[1:]))
    padding = _as_addend(key_padding_mask, q.dtype)
    added = k.shape[2] - key.shape[0] if static_k is None else add_zero_attn + (bias_k is not None)
    if mask is not None and added:
        mask = _C.pad(mask, (0, added))
    if padding is not None:
        padding = _C.pad(padding, (0, added))[:, None, None, :]
        mask = padding if mask is None else mask + padding
    drop = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        weights = _C.softmax(scores if mask is None else scores + mask, -1)
        weights = _C.dropout(weights, drop, True) if drop > 0 else weights
        result = weights @ v
        weights = weights.mean(1) if average_attn_weights else weights
        weights = weights if batched else weights.squeeze(0)
    else:
        result = _C.scaled_dot_product_attention(q, k, v, mask, drop)
    result = result.permute(2, 0, 1, 3).reshape((tokens, batch, embed))
    result = _C.linear(result, out_proj_weight, out_proj_bias)
    return (result if batched else result.squeeze(1)), weights


native_channel_shuffle = channel_shuffle  # noqa: F821

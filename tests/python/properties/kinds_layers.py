"""Cases of the functions of layers: convolutions, pooling, norms, softmax, losses, attention,
images, spectra and matrices, with random parameters."""

import torch

from properties.check import Case

F = "nn.functional."


def real(d):
    return d.choice([torch.float64, torch.float64, torch.float32, torch.bfloat16])


def plain(d, shape, dtype):
    """Finite numbers near 1, with strides of their own."""
    return d.strided(shape, dtype).nan_to_num(0.5, 1, -1).clamp(-4, 4)


def convolution(d):
    n = d.choice([1, 2, 2, 3])
    dtype = d.choice([torch.float64, torch.float32, torch.float32, torch.bfloat16])
    groups = d.choice([1, 1, 2, 3])
    inner, outer = groups * d.integer(1, 3), groups * d.choice([1, 2, 5])
    kernel = [d.integer(1, 4) for _ in range(n)]
    size = [d.choice([1, 3, 6, 9, 17]) for _ in range(n)]
    batch = [d.integer(0, 2)] if d.chance(0.8) else []
    transposed = d.chance(0.35)
    weight = [inner, outer // groups, *kernel] if transposed else [outer, inner // groups, *kernel]
    args = [plain(d, [*batch, inner, *size], dtype), plain(d, weight, dtype)]
    args.append(plain(d, [outer], dtype) if d.flag() else None)

    def each(low, high):
        return d.integer(low, high) if d.flag() else [d.integer(low, high) for _ in range(n)]

    options = {"stride": each(1, 3), "dilation": each(1, 2), "padding": each(0, 2), "groups": groups}
    if transposed:
        options["output_padding"] = each(0, 1)
    elif d.chance(0.2):
        options.update(padding=d.choice(["same", "valid"]), stride=1)
    loose = {torch.float32: (1e-4, 1e-4), torch.bfloat16: (4e-2, 8e-2)}.get(dtype)
    return Case(f"{F}conv_transpose{n}d" if transposed else f"{F}conv{n}d", args, options, tolerance=loose)


def pooling(d):
    n = d.choice([1, 2, 2, 3])
    dtype = real(d)
    x = plain(d, [*d.choice([[2, 3], [1, 1], [3], [0, 2]]), *(d.choice([1, 3, 6, 9]) for _ in range(n))], dtype)
    name = d.choice(["max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "lp_pool"])
    if name.startswith("adaptive"):
        size = d.integer(0, 4) if d.flag() else [d.integer(1, 4) for _ in range(n)]
        return Case(f"{F}{name}{n}d", [x, size])
    kernel = d.integer(1, 4) if d.flag() else [d.integer(1, 4) for _ in range(n)]
    if name == "lp_pool":
        return Case(f"{F}{name}{n}d", [x.abs(), 2.0, kernel], {"ceil_mode": d.flag()})
    options = {"stride": d.choice([None, 1, 2, 3]), "padding": d.integer(0, 1), "ceil_mode": d.flag()}
    if name == "max_pool":
        # Of windows past the end, or of padding alone, torch's gradients are written elsewhere.
        alone = options["ceil_mode"] or 1 in x.shape[-n:]
        options["dilation"] = 1 if alone else d.integer(1, 2)
    else:
        options["count_include_pad"] = d.flag()
    return Case(f"{F}{name}{n}d", [x, kernel], options)


def normalized(d):
    name = d.choice(["layer_norm", "group_norm", "batch_norm", "instance_norm", "rms_norm",
                     "local_response_norm"])
    dtype = d.choice([torch.float64, torch.float32])
    channels = d.choice([2, 4, 6])
    x = plain(d, [d.integer(1, 3), channels, *d.shape(d.integer(1, 2), (2, 3, 5, 33))], dtype)
    pair = [plain(d, [channels], dtype), plain(d, [channels], dtype)] if d.flag() else [None, None]
    loose = (1e-4, 1e-4) if dtype == torch.float32 else (1e-6, 1e-6)
    if name in ("layer_norm", "rms_norm"):
        shape = list(x.shape[-d.integer(1, 2):])
        given = [plain(d, shape, dtype) if d.flag() else None]
        bias = [plain(d, shape, dtype)] if name == "layer_norm" and d.flag() else []
        return Case(F + name, [x, shape, *given, *bias], tolerance=loose)
    if name == "group_norm":
        return Case(F + name, [x, d.choice([1, 2, channels]), *pair], tolerance=loose)
    if name == "batch_norm":
        running = [plain(d, [channels], dtype), plain(d, [channels], dtype).abs() + 0.1]
        return Case(F + name, [x, *running, *pair], {"training": False}, tolerance=loose)
    if name == "instance_norm":
        return Case(F + name, [x, None, None, *pair], tolerance=loose)
    return Case(F + name, [x, d.integer(1, 4)], tolerance=loose)


def loss(d):
    reduction = {"reduction": d.choice(["mean", "sum", "none"])}
    dtype = d.choice([torch.float64, torch.float32])
    name = d.choice(["cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
                     "binary_cross_entropy_with_logits", "kl_div", "binary_cross_entropy",
                     "soft_margin_loss", "poisson_nll_loss", "cosine_embedding_loss", "hinge_embedding_loss",
                     "margin_ranking_loss", "gaussian_nll_loss", "triplet_margin_loss"])
    if name in ("cross_entropy", "nll_loss"):
        shape = [d.integer(1, 4), d.choice([1, 3, 40]), *d.shape(d.integer(0, 2), (1, 2, 3))]
        x = plain(d, shape, dtype)
        target = d.indices(shape[1], [shape[0], *shape[2:]]).abs()
        options = {**reduction, "ignore_index": d.choice([-100, 0, 1])}
        if d.flag():
            options["weight"] = plain(d, [shape[1]], dtype).abs()
        if name == "cross_entropy" and d.flag():
            options["label_smoothing"] = 0.1
            if d.flag():
                target = plain(d, shape, dtype).softmax(1)
                del options["ignore_index"]
        return Case(F + name, [x, target], options)
    shape = d.shape(d.integer(1, 3), (1, 2, 3, 17))
    x, y = plain(d, shape, dtype), plain(d, shape, dtype)
    if name == "binary_cross_entropy":
        x, y = x.sigmoid(), y.sigmoid()
    if name == "cosine_embedding_loss":
        return Case(F + name, [plain(d, [3, 5], dtype), plain(d, [3, 5], dtype), torch.tensor([1, -1, 1])], reduction)
    if name == "margin_ranking_loss":
        return Case(F + name, [x, y, plain(d, shape, dtype).sign()], {"margin": 0.5, **reduction})
    if name == "gaussian_nll_loss":
        return Case(F + name, [x, y, plain(d, shape, dtype).abs() + 0.1], reduction)
    if name == "triplet_margin_loss":
        return Case(F + name, [plain(d, [3, 5], dtype) for _ in range(3)], {"swap": d.flag(), **reduction})
    if name in ("soft_margin_loss", "hinge_embedding_loss"):
        y = y.sign() + (y == 0)
    if name == "kl_div":
        return Case(F + name, [x, y.abs()], {"log_target": d.flag(), **reduction})
    return Case(F + name, [x, y], reduction)


def attention(d):
    dtype = d.choice([torch.float64, torch.float32])
    batch = d.shape(d.integer(0, 2), (1, 2, 3))
    q, k, e, v = d.choice([1, 3, 17]), d.choice([1, 4, 33]), d.choice([1, 8, 16]), d.choice([1, 8])
    args = [plain(d, [*batch, q, e], dtype), plain(d, [*batch, k, e], dtype), plain(d, [*batch, k, v], dtype)]
    options = {"scale": d.choice([None, 0.3])}
    if d.chance(0.3):
        options["is_causal"] = True
    elif d.flag():
        mask = d.mask([q, k])
        mask[:, 0] = True
        options["attn_mask"] = d.choice([mask, plain(d, [q, k], dtype)])
    return Case(F + "scaled_dot_product_attention", args, options, tolerance=(1e-4, 1e-4) if dtype == torch.float32 else None)


def image(d):
    dtype = d.choice([torch.float64, torch.float32])
    x = plain(d, [d.integer(1, 2), d.integer(1, 3), d.integer(1, 7), d.integer(1, 7)], dtype)
    loose = (1e-4, 1e-4) if dtype == torch.float32 else (1e-6, 1e-6)
    if d.flag():
        mode = d.choice(["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
        options = {"mode": mode}
        if mode in ("bilinear", "bicubic"):
            options["align_corners"] = d.flag()
            if d.flag():
                options.update(antialias=True, align_corners=False)
        # torch's antialiasing takes an intermediate result of width 1 for another layout.
        options["size"] = [d.integer(1, 9), d.integer(2 if "antialias" in options else 1, 9)]
        return Case(F + "interpolate", [x], options, tolerance=loose)
    if d.flag():
        options = {"kernel_size": d.integer(1, 3), "stride": d.integer(1, 2), "padding": d.integer(0, 1),
                   "dilation": d.integer(1, 2)}
        return Case(F + "unfold", [x], options)
    grid = plain(d, [x.shape[0], d.integer(1, 4), d.integer(1, 4), 2], dtype)
    return Case(F + "grid_sample", [x, grid], {
        "mode": d.choice(["bilinear", "nearest", "bicubic"]), "padding_mode": d.choice(["zeros", "border", "reflection"]),
        "align_corners": d.flag()}, tolerance=loose)


def spectrum(d):
    name = d.choice("fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 fftn ifftn rfftn irfftn fftshift ifftshift".split())
    complex_in = name not in ("rfft", "rfft2", "rfftn", "ihfft") and d.flag()
    dtype = d.choice([torch.complex128, torch.complex64] if complex_in else [torch.float64, torch.float32, torch.int64])
    x = d.strided(d.shape(d.integer(1, 3), (1, 2, 3, 4, 5, 7, 12, 17)), dtype)
    x = x if not x.is_floating_point() else x.nan_to_num(0, 1, 1)
    norm = {"norm": d.choice([None, "ortho", "forward", "backward"])}
    loose = (1e-3, 1e-3) if dtype in (torch.complex64, torch.float32, torch.int64) else None
    if name.endswith("shift"):
        return Case("fft." + name, [x])
    if name.endswith(("2", "n")):
        return Case("fft." + name, [x], norm, tolerance=loose)
    return Case("fft." + name, [x, d.choice([None, None, 1, 4, 9]), d.dim(x)], norm, tolerance=loose)


def matrix(d):
    name = d.choice("det slogdet inv solve cholesky matrix_power pinv eigvalsh svdvals lstsq qr matrix_norm "
                    "vector_norm cond_2 matrix_exp solve_triangular lu_factor".replace("cond_2", "").split())
    n = d.choice([0, 1, 2, 3, 5])
    dtype = d.choice([torch.float64, torch.complex128])
    a = plain_matrix(d, [*d.shape(d.integer(0, 2), (0, 1, 2)), n, n], dtype)
    loose = (1e-5, 1e-5)
    if name == "solve":
        return Case("linalg.solve", [a, d.strided([n, 2], dtype)], tolerance=loose)
    if name == "solve_triangular":
        return Case("linalg." + name, [a.triu(), d.strided([n, 2], dtype)], {"upper": True}, tolerance=loose)
    if name in ("cholesky", "eigvalsh"):
        a = a @ a.mH
    if name == "lstsq":
        return Case("linalg.lstsq", [a, plain_matrix(d, [*a.shape[:-1], 2], dtype)],
                    run=lambda module, a, b: module.linalg.lstsq(a, b)[0], tolerance=loose)
    if name == "matrix_power":
        return Case("linalg." + name, [a, d.integer(-2, 4)], tolerance=loose)
    if name == "matrix_norm":
        return Case("linalg." + name, [a, d.choice(["fro", "nuc", 1, -1, 2, float("inf")])], tolerance=loose)
    if name == "vector_norm":
        return Case("linalg." + name, [d.tensor([torch.float64, torch.complex128]), d.choice([0, 1, 2, 3, float("inf")])])
    return Case("linalg." + name, [a], tolerance=loose)


def plain_matrix(d, shape, dtype):
    """Far from singular."""
    a = torch.randn(shape, generator=d.generator, dtype=dtype)
    if shape[-1] == shape[-2]:
        a = a + 4 * torch.eye(shape[-1], dtype=dtype)
    return a.mT.contiguous().mT if d.flag() else a


def statistics(d):
    name = d.choice(["quantile", "nanquantile", "cov", "corrcoef", "mode", "cumprod", "histogram"])
    x = d.tensor([torch.float64, torch.float32], expanded=False)  # which of equals gets a gradient is open
    if name in ("quantile", "nanquantile"):
        q = d.choice([0.5, 0.0, 1.0, torch.rand(3, generator=d.generator, dtype=torch.float64).to(x.dtype)])
        return Case(name, [x, q, d.choice([None, d.dim(x)])], {
            "keepdim": d.flag(), "interpolation": d.choice(["linear", "lower", "higher", "nearest", "midpoint"])})
    if name in ("cov", "corrcoef"):
        return Case(name, [plain(d, [d.integer(1, 4), d.integer(2, 6)], torch.float64)])
    if name == "histogram":
        return Case(name, [x.nan_to_num(0, 1, -1), d.integer(1, 5)], {"range": (-3.0, 3.0)})
    if name == "mode":
        return Case(name, [x.nan_to_num(0, 1, -1), d.dim(x)])
    return Case(name, [plain(d, d.shape(), x.dtype), 0])

"""Code that PyTorch's users write, run under both modules: what is made of many ops, or is no op."""

import pytest
import torch

from conformance import harness

import tallow


def both(function, *tensors, **options):
    """function(module, tensors) of both, compared."""
    ours = function(tallow, *(harness.to_tallow(t, True) for t in tensors))
    theirs = function(torch, *tensors)
    harness.compare(ours, theirs, function.__name__, options.get("tolerance"))


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options", [
    {}, {"attn_mask": "additive"}, {"attn_mask": "causal", "is_causal": True}, {"key_padding_mask": True},
    {"bias": True, "add_zero_attn": True, "key_padding_mask": True, "attn_mask": "bool"},
    {"separate": True}, {"average_attn_weights": False}, {"unbatched": True}, {"attn_mask": "heads"},
], ids=str)  # fmt: skip
def test_multi_head_attention(options, need_weights):
    batch, tokens, sources, embed, heads = 2, 3, 5, 8, 4
    q, k, v = draw(tokens, batch, embed), draw(sources, batch, embed, seed=2), draw(sources, batch, embed, seed=3)
    if options.get("unbatched"):
        q, k, v = (x[:, 0] for x in (q, k, v))
    masks = {"additive": draw(tokens, sources), "bool": draw(tokens, sources) > 1.2,
             "causal": torch.ones(tokens, sources).triu(1).bool(),
             "heads": draw(batch * heads, tokens, sources)}
    given = {
        "attn_mask": masks.get(options.get("attn_mask")),
        "key_padding_mask": torch.tensor([[False] * 4 + [True], [False] * 5]) if "key_padding_mask" in options else None,
        "is_causal": options.get("is_causal", False), "average_attn_weights": options.get("average_attn_weights", True),
        "use_separate_proj_weight": options.get("separate", False),
    }
    weights = {"q_proj_weight": draw(embed, embed), "k_proj_weight": draw(embed, embed, seed=5),
               "v_proj_weight": draw(embed, embed, seed=6)} if options.get("separate") else {}
    extra = [draw(1, 1, embed, seed=7), draw(1, 1, embed, seed=8)] if options.get("bias") else [None, None]
    arrays = [q, k, v, draw(3 * embed, embed, seed=9), draw(3 * embed, seed=10), *extra, draw(embed, embed, seed=11),
              draw(embed, seed=12)]

    def run(module, change):
        a = [change(x) for x in arrays]
        named = {key: change(x) for key, x in {**given, **weights}.items()}
        return module.nn.functional.multi_head_attention_forward(
            *a[:3], embed, heads, None if weights else a[3], *a[4:7], options.get("add_zero_attn", False), 0.0,
            *a[7:], need_weights=need_weights, **named)

    ours, theirs = run(tallow, harness.to_tallow), run(torch, lambda x: x)
    harness.compare(ours[0], theirs[0], "result")
    assert (ours[1] is None) == (theirs[1] is None)
    if need_weights:
        harness.compare(ours[1], theirs[1], "weights")


def test_low_rank():
    a = tallow.randn(3, 20, 4, dtype=tallow.float64) @ tallow.randn(3, 4, 12, dtype=tallow.float64)
    for x in (a, a.mT):
        u, s, v = tallow.svd_lowrank(x, 4)
        assert tallow.allclose(u @ tallow.diag_embed(s) @ v.mT, x)
        assert tallow.allclose(s, tallow.linalg.svdvals(x)[..., :4])
    u, s, v = tallow.pca_lowrank(a, 4)
    centred = a - a.mean(1, keepdim=True)
    assert tallow.allclose(u @ tallow.diag_embed(s) @ v.mT, centred)
    with pytest.raises(ValueError):
        tallow.svd_lowrank(a, 13)


@pytest.mark.parametrize("options", [
    {}, {"dim": 1}, {"dim": [1, 0]}, {"spacing": 0.5}, {"spacing": [2.0, 3.0]}, {"edge_order": 2},
    {"spacing": "coordinates"}, {"spacing": "coordinates", "edge_order": 2},
], ids=str)  # fmt: skip
def test_gradient_of_samples(options):
    x = draw(5, 4)

    def run(module, x):
        named = dict(options)
        if named.get("spacing") == "coordinates":
            named["spacing"] = [module.tensor([0.0, 1, 3, 4, 7], dtype=module.float64),
                                module.tensor([0.0, 0.5, 3, 4], dtype=module.float64)]
        return module.gradient(x, **named)

    both(run, x)


def test_a_gradient_is_one_object():
    x = tallow.ones(3, requires_grad=True)
    (x * x).sum().backward()
    kept = x.grad
    assert x.grad is kept
    (x * x).sum().backward()
    assert x.grad is kept and kept.tolist() == [4, 4, 4]
    other = tallow.zeros(3)
    x.grad = other
    assert x.grad is other
    x.grad = None
    assert x.grad is None


def test_post_accumulate_hooks():
    for module in (tallow, torch):
        x = module.ones(2, requires_grad=True)
        seen = []

        def step(p):
            seen.append((p is x, p.grad.tolist()))
            p.grad = None

        handle = x.register_post_accumulate_grad_hook(step)
        (x * 2 + x).sum().backward()
        assert seen == [(True, [3, 3])] and x.grad is None
        handle.remove()
        (x * 2).sum().backward()
        assert len(seen) == 1 and x.grad.tolist() == [2, 2]
    with pytest.raises(RuntimeError):
        (x * 2).register_post_accumulate_grad_hook(step)


def test_gradcheck():
    x = tallow.randn(2, 3, dtype=tallow.float64, requires_grad=True)
    z = tallow.randn(3, dtype=tallow.complex128, requires_grad=True)
    check, check_twice = tallow.autograd.gradcheck, tallow.autograd.gradgradcheck
    assert check(lambda x: (x.sin() * x.mT.mT, x.sum()), x) and check_twice(lambda x: x.sin() ** 2, x)
    part = tallow.randn(2, dtype=tallow.float64, requires_grad=True)
    assert check(lambda x, part: tallow.as_strided_scatter(x, part, (2,), (2,), 1), (x, part))
    assert check(lambda z: (z * z.conj()).sum() + z.exp(), z) and check_twice(lambda z: z.exp() * z, z)

    class Wrong(tallow.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    with pytest.raises(RuntimeError, match="numerical"):
        check(Wrong.apply, x)
    assert not check(Wrong.apply, x, raise_exception=False)


def test_jacobians():
    x, y = draw(3), draw(2, 3)

    def single(module, x):
        f = module.autograd.functional
        return [f.jacobian(lambda t: t.sin() * t.sum(), x.detach()), f.hessian(lambda t: (t**3).sum() * t[0], x.detach()),
                *f.vjp(lambda t: t.exp(), x.detach(), x.detach()), *f.jvp(lambda t: t.exp() * t[0], x.detach(), x.detach()),
                *f.vhp(lambda t: (t**3).sum(), x.detach(), x.detach()),
                *f.hvp(lambda t: (t**3).sum(), x.detach(), x.detach())]

    def several(module, x, y):
        f = module.autograd.functional
        jacobians = f.jacobian(lambda a, b: (b @ a, a.sum()), (x, y))
        hessians = f.hessian(lambda a, b: ((b @ a) ** 2).sum(), (x, y))
        return [t for row in (*jacobians, *hessians) for t in row]

    both(single, x)
    both(several, x, y)


def test_names():
    assert tallow.linalg.LinAlgError is tallow.Error and callable(tallow.fft.fft)
    assert tallow.is_signed(tallow.ones(1)) and not tallow.is_conj(tallow.ones(1))
    f = tallow.compile(lambda x: x + 1)
    assert f(tallow.ones(1)).item() == 2
    x = tallow.ones(1, 1, 3, 3)
    y = tallow.convolution(x, x, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    assert y.item() == 9
    assert x.squeeze([]).shape == x.shape

"""What drafters cost and save: Gemma 4 E2B's shapes with fewer layers and random weights, with a
drafter of four layers of 256 over 2048 clusters of tokens.

    PYTHONPATH=build/release/python build/venv/bin/python bench/drafts.py --threads 2

The drafter's weights are such that it always says one token; how often that is right is up to how
the model's answer is sampled: biased to that token, to another, or to both alike. What is computed
does not depend on it. Prints the time of a pass by its number of tokens, of a draft, and tokens per
second with and without the drafter, the best of runs that take turns.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np

import tallow

sys.path.insert(0, str(Path(__file__).resolve().parent))
import random_gemma4
import run

HIDDEN, MLP, LAYERS, HEADS, CLUSTERS = 256, 2048, 4, 4, 2048
CONFIG = dict(
    architectures=["Gemma4AssistantForCausalLM"], model_type="gemma4_assistant",
    backbone_hidden_size=random_gemma4.SHAPES["e2b"]["hidden"], use_ordered_embeddings=True,
    num_centroids=CLUSTERS, centroid_intermediate_top_k=32, tie_word_embeddings=True,
    text_config=dict(
        model_type="gemma4_text", vocab_size=random_gemma4.VOCAB, hidden_size=HIDDEN,
        intermediate_size=MLP, num_hidden_layers=LAYERS, num_kv_shared_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=1, head_dim=random_gemma4.NEAR,
        global_head_dim=random_gemma4.FAR, hidden_size_per_layer_input=0,
        vocab_size_per_layer_input=0, sliding_window=512, max_position_embeddings=131072,
        layer_types=(LAYERS - 1) * ["sliding_attention"] + ["full_attention"],
        hidden_activation="gelu_pytorch_tanh", rms_norm_eps=1e-6, enable_moe_block=False,
        use_double_wide_mlp=False, tie_word_embeddings=True,
        rope_parameters=dict(
            full_attention=dict(rope_type="proportional", rope_theta=1e6,
                                partial_rotary_factor=0.25),
            sliding_attention=dict(rope_type="default", rope_theta=1e4))))


def make_drafter(folder):
    """Norms of zero keep its state at zero: of tokens that are all as likely it says the first."""
    if (folder / "config.json").exists():
        return folder
    rng, wide = np.random.default_rng(0), CONFIG["backbone_hidden_size"]
    tensors = {}

    def matrix(name, *shape):
        values = tallow.tensor(rng.standard_normal(shape, np.float32) / math.sqrt(shape[-1]))
        tensors[f"{name}.weight"] = values.to(tallow.bfloat16)

    def vector(name, size, value):
        tensors[name] = tallow.full((size,), value, dtype=tallow.bfloat16)

    matrix("model.embed_tokens", random_gemma4.VOCAB, HIDDEN)
    matrix("pre_projection", HIDDEN, 2 * wide)
    matrix("post_projection", wide, HIDDEN)
    matrix("masked_embedding.centroids", CLUSTERS, HIDDEN)
    tensors["masked_embedding.token_ordering"] = tallow.tensor(rng.permutation(random_gemma4.VOCAB))
    vector("model.norm.weight", HIDDEN, 0.0)
    for i, kind in enumerate(CONFIG["text_config"]["layer_types"]):
        layer = f"model.layers.{i}"
        dim = random_gemma4.NEAR if kind == "sliding_attention" else random_gemma4.FAR
        for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"):
            vector(f"{layer}.{name}_layernorm.weight", HIDDEN, 1.0)
        vector(f"{layer}.self_attn.q_norm.weight", dim, 1.0)
        vector(f"{layer}.layer_scalar", 1, 1.0)
        matrix(f"{layer}.self_attn.q_proj", HEADS * dim, HIDDEN)
        matrix(f"{layer}.self_attn.o_proj", HIDDEN, HEADS * dim)
        for name in ("gate", "up"):
            matrix(f"{layer}.mlp.{name}_proj", MLP, HIDDEN)
        matrix(f"{layer}.mlp.down_proj", HIDDEN, MLP)
    folder.mkdir(parents=True, exist_ok=True)
    tallow.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def best(task, repeat):
    """The least milliseconds of `repeat` calls."""
    least = math.inf
    for _ in range(repeat):
        start = time.perf_counter()
        task()
        least = min(least, 1e3 * (time.perf_counter() - start))
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=int, default=10, help="of 35 (%(default)s)")
    parser.add_argument("--mix", default="q4_0", help="q4_0 or q4_k_m (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--cache-type", help="of keys and values (the model's own)")
    parser.add_argument("--tokens", type=int, default=96, help="of an answer (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each (%(default)s)")
    options = parser.parse_args()
    tallow.set_num_threads(options.threads)
    folder = run.ROOT / "build" / "bench"
    path = random_gemma4.gemma4(folder, "e2b", options.mix, options.layers, run.say)
    drafter = make_drafter(folder / "gemma4-e2b-assistant")
    alone = tallow.load(path, cache_type=options.cache_type)
    helped = tallow.load(path, drafter=drafter, cache_type=options.cache_type)
    prompt = list(range(100, 116))

    print(f"{run.cpu_name()}, {options.threads} threads, {path.name}")
    passes = {n: best(lambda n=n: alone.logits(prompt[:n]), 12) for n in (1, 2, 4, 8)}
    print("a pass of " + ", ".join(f"{n}: {ms:.1f} ms" for n, ms in passes.items()))
    helped._draft(prompt, 1)
    few, many = (best(lambda n=n: helped._draft(prompt, n), 8) for n in (1, 33))
    print(f"a draft: {(many - few) / 32:.2f} ms")

    said = helped._draft(prompt, 1)[0]
    other = 1000 if said != 1000 else 1001
    assert said > 3, "the drafter says a mark"
    ways = {"0%": dict(temperature=0.0, logit_bias=[(other, 1e6)]),
            "50%": dict(temperature=1e4, top_k=2, seed=1, logit_bias=[(said, 1e6), (other, 1e6)]),
            "100%": dict(temperature=0.0, logit_bias=[(said, 1e6)])}
    print("right     alone   with it             tokens of answer, drafted, right")
    for name, sampling in ways.items():
        speed = {}
        for _ in range(options.repeat):
            for model in (alone, helped):
                made = model._generate(tallow.models.Prompt(prompt),
                                       dict(sampling, max_new_tokens=options.tokens), None)
                rate = len(made.tokens) / made.decode_seconds
                speed[model] = max(speed.get(model, (0,)), (rate, made.drafted_tokens,
                                                            made.accepted_tokens))
        own, (rate, drafted, right) = speed[alone][0], speed[helped]
        print(f"{name:>5} {own:7.1f} {rate:7.1f} tokens/s, {rate / own:.2f}x"
              f"   {options.tokens}, {drafted}, {right}")


if __name__ == "__main__":
    main()

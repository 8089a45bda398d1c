"""Times Gemma 4's audio tower beside PyTorch, which runs transformers' own: a clip of some seconds
through the tower of E2B (12 layers of 1024) with random weights.

    PYTHONPATH=build/dev/python python bench/encode_audio.py --seconds 10 --threads 2

Prints milliseconds, the best of several runs that take turns, and the ratio, for each dtype of
weights; and how far apart the results are."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from transformers import (
    Gemma4AudioFeatureExtractor,
    Gemma4Config,
    Gemma4ForConditionalGeneration,
)

import tallow

TEXT = dict(vocab_size=64, vocab_size_per_layer_input=64, hidden_size=1536, intermediate_size=64,
            num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=32,
            hidden_size_per_layer_input=0, layer_types=["full_attention"])
VISION = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1,
              num_key_value_heads=1, head_dim=32)


def make_model():
    config = Gemma4Config(text_config=TEXT, vision_config=VISION, audio_config={},
                          image_token_id=60, audio_token_id=61, video_token_id=62)
    torch.manual_seed(0)
    model = Gemma4ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, x in model.named_buffers():
            if name.endswith(("_min", "_max")):  # bounds, as the real checkpoints have them
                x.fill_(-30.0 if name.endswith("_min") else 30.0)
    return model


def milliseconds(run):
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) * 1e3


def compare(model, dtype, features, mask, samples, runs):
    model = model.to(dtype)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        extractor = json.loads(Gemma4AudioFeatureExtractor().to_json_string())
        Path(folder, "preprocessor_config.json").write_text(json.dumps(extractor))
        ours = tallow.load(folder)

        def theirs_encode():
            with torch.inference_mode():
                out = model.model.get_audio_features(features.to(dtype), mask, return_dict=True)
            return out.pooler_output[out.attention_mask].float().numpy()

        expected, rows = theirs_encode(), ours.encode_audio(samples).numpy()
        theirs, mine = [], []
        for _ in range(runs):
            theirs.append(milliseconds(theirs_encode))
            mine.append(milliseconds(lambda: ours.encode_audio(samples)))
    error = np.abs(rows - expected).max() / np.abs(expected).max()
    name = str(dtype).removeprefix("torch.")
    print(f"{name:9} {len(rows)} soft tokens: PyTorch {min(theirs):7.1f} ms, "
          f"tallow {min(mine):7.1f} ms, {min(theirs) / min(mine):.2f}x; "
          f"apart by {error:.1e} of the largest")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tallow.set_num_threads(options.threads)
    count = int(options.seconds * 16000)
    samples = (np.random.default_rng(0).standard_normal(count) * 0.1).astype(np.float32)
    made = Gemma4AudioFeatureExtractor()([samples], return_tensors="pt")
    model = make_model()
    print(f"{options.seconds:g} s of sound, {options.threads} threads")
    for dtype in (torch.float32, torch.bfloat16):
        compare(model, dtype, made["input_features"], made["input_features_mask"], samples,
                options.runs)


if __name__ == "__main__":
    main()

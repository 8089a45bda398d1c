"""An image through Gemma 4's eyes at the sizes of E2B (16 layers of 768, random weights): tallow
beside transformers in one process, on equal threads. Runs alternate, and the best counts.

usage: PYTHONPATH=build/release/python python bench/encode_image.py [--tokens 280] [--threads 2]

Prints for each dtype of the weights the milliseconds that either takes to make soft tokens of one
image, and to make patches of a photograph; TFLOP/s; and the share of the measured peak.
"""

import argparse
import math
import tempfile
import time

import numpy as np
import torch
from transformers import Gemma4Config, Gemma4ForConditionalGeneration
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

import tallow

TEXT = dict(vocab_size=512, hidden_size=1536, intermediate_size=64, num_hidden_layers=1,
            num_attention_heads=1, num_key_value_heads=1, head_dim=16, global_head_dim=16,
            hidden_size_per_layer_input=0, layer_types=["full_attention"])


def make_model(layers, clipped, dtype):
    config = Gemma4Config(text_config=TEXT, audio_config=None, image_token_id=511,
                          video_token_id=510, audio_token_id=509,
                          vision_config=dict(num_hidden_layers=layers,
                                             use_clipped_linears=clipped))
    torch.manual_seed(0)
    model = Gemma4ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, tensor in model.model.vision_tower.named_buffers():
            if name.endswith("_min"):
                tensor.fill_(-8)
            elif name.endswith("_max"):
                tensor.fill_(8)
        for name, tensor in model.named_parameters():
            if tensor.ndim > 1:
                tensor.normal_(0, 1 / math.sqrt(tensor.shape[-1]))
            elif name.endswith(("q_norm.weight", "k_norm.weight")):
                tensor.fill_(0.3)  # logits of a trained model's size
    return model.to(dtype)


def flops(config, patches):
    c = config
    width = c.num_attention_heads * c.head_dim
    weights = 2 * c.hidden_size * (width + c.num_key_value_heads * c.head_dim)
    weights += 3 * c.hidden_size * c.intermediate_size
    return c.num_hidden_layers * patches * (2 * weights + 4 * patches * width)


def best(runs, repeat):
    """The least milliseconds of each of several functions, called in turns."""
    least = [math.inf] * len(runs)
    for _ in range(repeat):
        for i, run in enumerate(runs):
            start = time.perf_counter()
            run()
            least[i] = min(least[i], 1e3 * (time.perf_counter() - start))
    return least


def measure(args, dtype):
    model = make_model(args.layers, args.clipped, dtype)
    image = np.random.default_rng(0).integers(0, 256, (args.height, args.width, 3), dtype=np.uint8)
    processor = Gemma4ImageProcessorPil(max_soft_tokens=args.tokens)
    theirs = processor(image, return_tensors="pt")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        ours = tallow.load(folder)
        pixels, at = ours.prepare_image(image, args.tokens)

        def torch_encode():
            with torch.inference_mode():
                return model.model.get_image_features(
                    theirs["pixel_values"], theirs["image_position_ids"]).pooler_output[0]

        def encode():
            return ours.encode_image((pixels, at))

        a, b = torch_encode().float().numpy(), encode().numpy()
        scale = np.abs(a).max()
        ms, peer = best([encode, torch_encode], args.repeat)
        prepared, processed = best([lambda: ours.prepare_image(image, args.tokens),
                                    lambda: processor(image, return_tensors="pt")], args.repeat)
    work = flops(model.config.vision_config, pixels.shape[0]) / 1e9
    peak = (tallow._C.peak_bf16 if dtype == torch.bfloat16 else tallow._C.peak_f32)(args.threads)
    name = str(dtype).removeprefix("torch.")
    print(f"{name:9} encode {ms:8.1f} ms, transformers {peer:8.1f} ms, {peer / ms:5.2f}x; "
          f"{work / ms:6.3f} TFLOP/s, {100 * work * 1e12 / ms / peak:5.1f}% of the peak of "
          f"{peak / 1e12:.2f}; differ by {np.abs(a - b).max() / scale:.1e}")
    print(f"{'':9} prepare {prepared:7.1f} ms, transformers {processed:8.1f} ms, "
          f"{processed / prepared:5.2f}x; {pixels.shape[0]} patches, {b.shape[0]} soft tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tokens", type=int, default=280, choices=(70, 140, 280, 560, 1120))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--height", type=int, default=3024)
    parser.add_argument("--width", type=int, default=4032)
    parser.add_argument("--clipped", action="store_true", help="with clipped linear layers")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "both"), default="both")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tallow.set_num_threads(args.threads)
    for name in ("float32", "bfloat16"):
        if args.dtype in (name, "both"):
            measure(args, getattr(torch, name))


if __name__ == "__main__":
    main()

"""A tiny random Gemma 4 that sees, hears and calls functions, in a folder; and what transformers
makes of messages with images and sounds."""

from types import SimpleNamespace

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (Gemma4AudioConfig, Gemma4Config, Gemma4ForConditionalGeneration,
                          Gemma4Processor, Gemma4TextConfig, Gemma4VisionConfig,
                          PreTrainedTokenizerFast)
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

from gemma_models import BASE, SHARED, randomize

SPECIAL = ["<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|image|>", "<|image>", "<image|>",
           "<|audio|>", "<|audio>", "<audio|>", "<|video|>", "<|channel>", "<channel|>",
           "<|tool_call>", "<tool_call|>", "<|tool_response>", "<|think|>", '<|"|>']

# Turns, thoughts, calls and media are spelled as Gemma 4's own template spells them.
TEMPLATE = """
{%- macro value(v) -%}
{%- if v is string %}<|"|>{{ v }}<|"|>
{%- elif v is boolean %}{{ 'true' if v else 'false' }}
{%- elif v is none %}null
{%- elif v is mapping %}{ {%- for k, x in v | dictsort %}{{ k }}:{{ value(x) }}{{ ',' if not loop.last }}
  {%- endfor %}}
{%- elif v is iterable %}[{% for x in v %}{{ value(x) }}{{ ',' if not loop.last }}{% endfor %}]
{%- else %}{{ v }}{% endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- if enable_thinking %}<|turn>system
<|think|><turn|>
{% endif -%}
{%- for tool in tools or [] %}<|turn>system
declaration:{{ tool.function.name }}{{ value(tool.function.parameters) }}<turn|>
{% endfor -%}
{%- for m in messages -%}
<|turn>{{ 'model' if m.role == 'assistant' else m.role }}
{% if m.thought %}<|channel>thought
{{ m.thought }}<channel|>{% endif -%}
{%- for call in m.tool_calls or [] -%}
<|tool_call>call:{{ call.name }}{{ value(call.arguments) }}<tool_call|>
{%- endfor -%}
{%- if m.content is string %}{{ m.content }}
{%- else -%}
{%- for item in m.content or [] -%}
{{ item.text if item.type == 'text' else '\\n\\n<|image|>\\n\\n' if item.type == 'image'
   else '<|video|>' if item.type == 'video' else '<|audio|>' }}
{%- endfor -%}
{%- endif -%}
<turn|>
{% endfor -%}
{%- if add_generation_prompt %}<|turn>model
{% endif -%}"""

VISION = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
              num_key_value_heads=2, head_dim=16, position_embedding_size=1200,
              use_clipped_linears=True, standardize=True)
AUDIO = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, output_proj_dims=24,
             subsampling_conv_channels=[128, 4])


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=SPECIAL)
    tokenizer.train_from_iterator(["user model what is this image thought call:"] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>",
                                   pad_token="<pad>", clean_up_tokenization_spaces=False)
    fast.chat_template = TEMPLATE
    return fast


def make_network(tokenizer, seed=0, **text):
    ids = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(SPECIAL)))
    sizes = {**BASE, **SHARED, "vocab_size": len(tokenizer), "max_position_embeddings": 8192,
             "vocab_size_per_layer_input": len(tokenizer), "pad_token_id": ids["<pad>"]}
    config = Gemma4Config(
        text_config=Gemma4TextConfig(**{**sizes, **text}),
        vision_config=Gemma4VisionConfig(**VISION), audio_config=Gemma4AudioConfig(**AUDIO),
        image_token_id=ids["<|image|>"], boi_token_id=ids["<|image>"], eoi_token_id=ids["<image|>"],
        audio_token_id=ids["<|audio|>"], boa_token_id=ids["<|audio>"],
        eoa_token_index=ids["<audio|>"], video_token_id=ids["<|video|>"],
        attn_implementation="eager")
    torch.manual_seed(seed)
    network = randomize(Gemma4ForConditionalGeneration(config).eval())
    with torch.no_grad():
        for name, tensor in network.named_buffers():
            if name.endswith(("input_min", "output_min")):
                tensor.fill_(-4.0)
            elif name.endswith(("input_max", "output_max")):
                tensor.fill_(4.0)
        # Attention so sharp that f32 itself is off by 1e-3 would tell nothing.
        for name, tensor in network.named_parameters():
            if "language_model" in name and name.endswith(("q_norm.weight", "k_norm.weight")):
                tensor.mul_(0.5)
    return network


def items(messages, kind):
    return [item for m in messages if isinstance(m["content"], list)
            for item in m["content"] if item["type"] == kind]


class Reference:
    """transformers' logits of messages; `sounds` gives the features of a clip and their mask."""

    def __init__(self, tokenizer, network, folder, sounds=None):
        self.tokenizer, self.network, self.folder, self.sounds = tokenizer, network, folder, sounds

    def __call__(self, messages, **template):
        t = self.tokenizer
        text = t.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **template)
        inputs, counts = self.images(items(messages, "image"))
        clips = [self.sounds(self.folder / item["path"]) for item in items(messages, "audio")]
        if clips:
            longest = max(len(mask) for _, mask in clips)
            pad = [longest - len(mask) for _, mask in clips]
            inputs["input_features"] = torch.stack([
                torch.nn.functional.pad(torch.as_tensor(f), (0, 0, 0, n))
                for (f, _), n in zip(clips, pad)])
            inputs["input_features_mask"] = torch.stack([
                torch.nn.functional.pad(torch.as_tensor(m), (0, n)) for (_, m), n in zip(clips, pad)])
        marks = SimpleNamespace(boi_token="<|image>", image_token="<|image|>", eoi_token="<image|>",
                                boa_token="<|audio>", audio_token="<|audio|>", eoa_token="<audio|>",
                                video_token="<|video|>")
        for i in range(len(counts)):
            new = Gemma4Processor.replace_image_token(
                marks, {"num_soft_tokens_per_image": counts}, i)
            text = text.replace("\n\n<|image|>\n\n", f"\n\n{new}\n\n", 1)
        pieces = text.split("<|audio|>")
        text = pieces[0]
        for i, rest in enumerate(pieces[1:]):
            text += Gemma4Processor.replace_audio_token(
                marks, {"input_features_mask": [m for _, m in clips]}, i) + rest
        for item in items(messages, "video"):
            frames, seconds = self.frames(self.folder / item["path"])
            video, counts = self.images([{"image": frame, "tokens": 70} for frame in frames])
            new = Gemma4Processor.replace_video_token(marks, {
                "num_soft_tokens_per_video": counts[:1],
                "video_metadata": [SimpleNamespace(fps=1, timestamps=seconds)]}, 0)
            text = text.replace("<|video|>", new, 1)
            inputs.update(pixel_values_videos=video["pixel_values"],
                          video_position_ids=video["image_position_ids"],
                          num_frames_per_video=torch.tensor([len(frames)]))
        ids = torch.tensor([t(text, add_special_tokens=False).input_ids])
        image, video, audio = (t.convert_tokens_to_ids(m)
                               for m in ("<|image|>", "<|video|>", "<|audio|>"))
        kinds = (ids == image).long() + 2 * (ids == video).long() + 3 * (ids == audio).long()
        with torch.no_grad():
            logits = self.network(input_ids=ids, mm_token_type_ids=kinds, **inputs).logits[0]
        return ids[0].tolist(), logits

    @staticmethod
    def frames(path):
        """The frames that transformers' processors take of an animation, and when they are shown."""
        with Image.open(path) as animation:
            count, starts, frames = animation.n_frames, [0.0], []
            for i in range(count):
                animation.seek(i)
                frames.append(animation.convert("RGB"))
                starts.append(starts[-1] + animation.info["duration"] / 1000)
        wanted = [i * count // min(count, 32) for i in range(min(count, 32))]
        return [frames[i] for i in wanted], [starts[i] for i in wanted]

    def images(self, entries):
        if not entries:
            return {}, []
        made = [Gemma4ImageProcessorPil(max_soft_tokens=item.get("tokens", 280))(
            item.get("image") or Image.open(self.folder / item["path"]).convert("RGB"),
            return_tensors="pt")
            for item in entries]
        most = max(m["pixel_values"].shape[1] for m in made)

        def stack(key, fill):
            return torch.cat([torch.nn.functional.pad(m[key], (0, 0, 0, most - m[key].shape[1]),
                                                      value=fill) for m in made])
        return ({"pixel_values": stack("pixel_values", 0).float(),
                 "image_position_ids": stack("image_position_ids", -1)},
                [int(m["num_soft_tokens_per_image"][0]) for m in made])

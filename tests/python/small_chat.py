"""A small random chat model in a folder, for the tests of the command."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
            "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.train_from_iterator(["the cat sat on the mat", "user assistant system"] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|endoftext|>",
                                   eos_token="<|im_end|>", clean_up_tokenization_spaces=False)
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def make_network(tokenizer, **changes):
    torch.manual_seed(5)
    settings = dict(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96,
                    num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                    max_position_embeddings=200_000, initializer_range=0.4,
                    bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    return LlamaForCausalLM(LlamaConfig(**{**settings, **changes})).eval()


@pytest.fixture(scope="module")
def network(tokenizer):
    return make_network(tokenizer)


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer, network):
    """A small random model that talks nonsense until it is stopped, in a folder."""
    folder = tmp_path_factory.mktemp("model")
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# Sampling that never ends the answer by itself.
ENDLESS = ("--logit-bias", "0=-1000", "--logit-bias", "2=-1000")

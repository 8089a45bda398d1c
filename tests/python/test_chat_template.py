"""Rendered chats against transformers: templates in the style of the large families, and the real
templates that are at hand.
"""

import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from chat_families import CHATS, FAMILIES, TOOLS
from jinja_oracle import ask  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]


def _tokenizer(template):
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE()), chat_template=template,
                                   bos_token="<s>", eos_token="</s>")


def _compare_chats(ask, template):
    tokenizer = _tokenizer(template)
    requests, expected = [], []
    for chat in CHATS:
        for prompt in (False, True):
            for tools in (None, TOOLS):
                for extra in ({}, {"enable_thinking": False, "date_string": "1 May"}):
                    request = {"template": template, "messages": chat, "bos_token": "<s>",
                               "eos_token": "</s>", "add_generation_prompt": prompt, "extra": extra}
                    if tools:
                        request["tools"] = tools
                    requests.append(request)
                    try:
                        expected.append({"text": tokenizer.apply_chat_template(
                            chat, tokenize=False, add_generation_prompt=prompt, tools=tools, **extra)})
                    except Exception as error:  # noqa: BLE001
                        expected.append({"error": str(error)})
    answers = ask(requests)
    for request, ours, theirs in zip(requests, answers, expected):
        assert ours.get("text") == theirs.get("text"), (request["messages"], ours, theirs)
    return sum("text" in e for e in expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_chats_equal_transformers(ask, family):
    assert _compare_chats(ask, FAMILIES[family]) >= 8


def _real_templates():
    found = {}
    for path in sorted((ROOT / "build/tokenizers").glob("*/**/tokenizer_config.json")):
        template = json.loads(path.read_text()).get("chat_template")
        if isinstance(template, list):
            for entry in template:
                found[f"{path.parent.name}-{entry['name']}"] = entry["template"]
        elif template:
            found[path.parent.name] = template
    return found


def test_real_templates_equal_transformers(ask):
    templates = _real_templates()
    if not templates:
        pytest.skip("no tokenizers were fetched: run scripts/fetch-tokenizers.sh")
    for name, template in templates.items():
        # Those for retrieval and for tools of one kind refuse all of these chats, here as there.
        some = _compare_chats(ask, template) > 0
        assert some or name.endswith(("-rag", "-tool_use")), name


def test_the_template_of_the_default_model(ask, smollm2):
    from gguf import GGUFReader

    field = GGUFReader(str(smollm2)).fields["tokenizer.chat_template"]
    assert _compare_chats(ask, bytes(field.parts[field.data[0]]).decode()) > 0


def test_messages_that_are_not_objects_are_refused(ask):
    for bad in ([1], "x", {"a": 1}, None, [[]]):
        answer = ask([{"template": "x", "messages": bad}])[0]
        assert answer.get("error", "").startswith("t: "), answer

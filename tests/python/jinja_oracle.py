"""Chat templates rendered by the probe and by transformers' own Jinja, side by side."""

import copy
import json

import pytest
from transformers.utils.chat_template_utils import _compile_jinja_template


@pytest.fixture(scope="module")
def ask(probe):
    """Renders many requests in one run of the probe: a list of {"text"} or {"error"}."""

    def run(requests, timeout=120):
        lines = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in requests)
        out = probe("template", stdin=lines, timeout=timeout).stdout.decode()
        answers = [json.loads(line) for line in out.split("\n")[:-1]]
        assert len(answers) == len(requests), "the probe stopped early"
        return answers

    return run


def oracle(template, variables):
    try:
        # A copy, since Python's filters can change a list: indent adds to it.
        values = copy.deepcopy(variables)
        return {"text": _compile_jinja_template(template).render(**values)}
    except Exception as error:  # noqa: BLE001: whatever Python raises, we must fail too
        return {"error": f"{type(error).__name__}: {error}"}


def check(ask, cases):
    """Each case is (template, variables): the same text, or an error on both sides."""
    answers = ask([{"template": t, "variables": v} for t, v in cases])
    wrong = []
    for (template, variables), ours in zip(cases, answers):
        expected = oracle(template, variables)
        if ours.get("text") != expected.get("text"):
            wrong.append(f"{template!r}\n  expected {expected}\n  got      {ours}")
        if "error" in ours:
            assert ours["error"].startswith("t: line ") and "\n" not in ours["error"], ours
    assert not wrong, "\n".join(wrong)


VARIABLES = {
    "i": 7, "n": -3, "z": 0, "f": 2.5, "g": 1e22, "t": True, "no": False, "none_": None,
    "s": "Hello World", "empty": "", "u": "Grüße, 世界! 😀é", "q": "it's \"q\"\\\n\t",
    "sp": "  \t padded \n ", "lines": "one\ntwo\r\nthree\n", "csv": "a,b,,c", "num": " 42 ",
    "l": [3, 1, 2], "e": [], "words": ["pear", "Apple", "fig"], "mixed": [1, "a", None, 2.0, True],
    "d": {"b": 1, "a": [1, {"x": None}], "C": "z"}, "ed": {},
    "nested": [[1, 2], [3, [4]]], "rows": [
        {"name": "x", "v": 3, "tag": {"k": "B"}}, {"name": "y", "v": 1, "tag": {"k": "a"}},
        {"name": "z", "v": 3, "tag": {"k": "b"}}, {"name": "w"}],
    "msgs": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"},
             {"role": "assistant", "content": None, "tool_calls": [{"f": {"a": 1.5}}]}],
    "dictkeys": {"items": 1, "get": 2, "x-y": 3},
}

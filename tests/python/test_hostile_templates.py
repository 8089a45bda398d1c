"""Chat templates that ask for too much, or that are none: an error, soon."""

import random

import pytest

from chat_families import CHATS, FAMILIES
from jinja_oracle import ask  # noqa: F401

HOSTILE = {
    "long string": "{{ 'a' * 10**12 }}",
    "long list": "{{ [0] * 10**12 }}",
    "long range": "{{ range(10**12) }}",
    "doubling": "{% set ns = namespace(s='ab') %}{% for i in range(200) %}{% set ns.s = ns.s ~ ns.s %}"
                "{% endfor %}{{ ns.s|length }}",
    "doubling list": "{% set ns = namespace(s=[1]) %}{% for i in range(200) %}{% set ns.s = ns.s + ns.s "
                     "%}{% endfor %}{{ ns.s|length }}",
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
                    "{% endfor %}{% endfor %}{% endfor %}",
    "output": "{% for a in range(99999) %}{{ 'x' * 100000 }}{% endfor %}",
    "parentheses": "{{ " + "(" * 100000 + "1" + ")" * 100000 + " }}",
    "brackets": "{{ " + "[" * 100000 + "]" * 100000 + " }}",
    "not": "{{ " + "not " * 100000 + "1 }}",
    "minus": "{{ " + "-" * 100000 + "1 }}",
    "sum": "{{ 1" + " + 1" * 100000 + " }}",
    "attributes": "{{ a" + ".b" * 100000 + " }}",
    "filters": "{{ 1" + "|string" * 100000 + " }}",
    "calls": "{{ a" + "()" * 100000 + " }}",
    "conditions": "{{ " + "1 if 0 else " * 100000 + "2 }}",
    "ifs": "{% if 1 %}" * 100000,
    "tests": "{{ 1" + " is number" * 2 + " }}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "mutual recursion": "{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{{ f(x) }}"
                        "{% endmacro %}{{ f(1) }}",
    "caller recursion": "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
    "loop recursion": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "nested value": "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}"
                    "{% endfor %}{{ ns.x }}",
    "nested dict": "{% set ns = namespace(x={}) %}{% for i in range(99999) %}{% set ns.x = {'a': ns.x} %}"
                   "{% endfor %}{{ ns.x|tojson }}",
    "self reference": "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "power": "{{ 10 ** 10 ** 10 }}",
    "center": "{{ 'a'.center(10**15) }}",
    "zfill": "{{ 'a'.zfill(10**15) }}",
    "format width": "{{ '%999999999999d' % 1 }}",
    "format precision": "{{ '{:.999999999}'.format(1.5) }}",
    "replace": "{% set s = 'a' * 10000000 %}{{ s.replace('a', s) }}",
    "join": "{% set s = 'a' * 10000000 %}{{ s.join(s) }}",
    "indent": "{{ 'a'|indent(10**12, true) }}",
    "tojson indent": "{{ [1]|tojson(indent=10**12) }}",
    "batch": "{{ [1]|batch(10**12, 0)|list }}",
    "slice": "{{ [1]|slice(10**12)|list }}",
    "raise": "{{ raise_exception('no\nnewline') }}",
    "map": "{{ range(99999)|map('batch', 99999, 0)|list }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_end_with_an_error(ask, name):
    answer = ask([{"template": HOSTILE[name], "variables": {}}], timeout=30)[0]
    assert "error" in answer, answer
    assert answer["error"].startswith("t: line "), answer
    assert len(answer["error"]) < 500


def test_random_bytes_of_templates_never_crash(ask):
    rng = random.Random(3)
    source = "".join(FAMILIES.values())
    requests = []
    for _ in range(2000):
        at = rng.randrange(len(source))
        piece = list(source[at:at + rng.randint(1, 400)])
        for _ in range(rng.randint(0, 6)):
            piece[rng.randrange(len(piece))] = rng.choice("{}%#-+()[]|.,:'\"\\ \n\0é😀if")
        requests.append({"template": "".join(piece), "messages": CHATS[1]})
    for answer in ask(requests):
        assert "text" in answer or "error" in answer

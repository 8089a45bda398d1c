"""Statements of chat templates: each does what it does in transformers' own Jinja environment."""

from datetime import datetime, timezone

from jinja_oracle import VARIABLES, ask, check  # noqa: F401

STATEMENTS = [
    "{% if i > 5 %}a{% elif i > 3 %}b{% else %}c{% endif %}",
    "{% if no %}a{% elif t %}b{% else %}c{% endif %}",
    "{% if no %}a{% elif no %}b{% else %}c{% endif %}",
    "{% for x in l %}{{ x }}{% endfor %}",
    "{% for x in e %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in nope %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in i %}{{ x }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}",
    "{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for c in u %}[{{ c }}]{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for x in l if x != 1 %}{{ loop.length }}{{ loop.last }}{{ loop.revindex }}{{ x }} {% endfor %}",
    "{% for x in l|select('odd') %}{{ loop.length }}{{ loop.last }}{{ x }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}",
    "{% for x in l %}{% set outer = loop %}{% for y in l %}{{ outer.index }}{{ loop.last }}"
    "{% endfor %}{% endfor %}",
    "{% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x > 5 %}{% break %}"
    "{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% break %}{% else %}none{% endfor %}",
    "{% for x in l recursive %}{{ x }}{% endfor %}",
    "{% for x in nested recursive %}{% if x is iterable %}<{{ loop.depth }}{{ loop(x) }}>{% else %}"
    "{{ x }}{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop(x) }}{% endfor %}",
    "{{ x }}{% for x in l %}{% endfor %}{{ x }}",
    "{% set x = 5 %}{% for y in l %}{% set x = y %}{% endfor %}{{ x }}",
    "{% set x = 5 %}{% for y in l %}{{ x }}{% set x = y %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 5 %}{% if t %}{% set x = 6 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0, l=[]) %}{% for x in l %}{% set ns.n = ns.n + x %}"
    "{% set ns.l = ns.l + [x] %}{% endfor %}{{ ns.n }}{{ ns.l }}",
    "{% set ns = namespace(found=false) %}{% for m in msgs if not ns.found %}{{ m.role }}"
    "{% if m.role == 'user' %}{% set ns.found = true %}{% endif %}{% endfor %}",
    "{% set ns = namespace() %}{% set ns._x = 1 %}",
    "{% set ns = namespace(a=1) %}{{ ns }}",
    "{% set d.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set (a, b) = (3, 4) %}{{ a }}{{ b }}",
    "{% set a, b = [1] %}",
    "{% set x %}hello {{ s }}{% endset %}{{ x|upper }}",
    "{% set x | upper | trim %} hello {% endset %}[{{ x }}]",
    "{% set x %}{% set y = 1 %}{{ y }}{% endset %}{{ x }}{{ y }}",
    "{% with a = 1, b = i %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{% endwith %}",
    "{% with %}{% set zz = 1 %}{{ zz }}{% endwith %}{{ zz }}",
    "{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 3) }}|"
    "{{ f(1, c=5) }}|{{ f() }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(zz=2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=2) }}",
    "{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, k=4) }}",
    "{% macro f(*a) %}{% endmacro %}",
    "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}",
    "{% macro f() %}{{ later }}{% endmacro %}{% set later = 3 %}{{ f() }}",
    "{% macro f() %}{% set i = 100 %}{{ i }}{% endmacro %}{{ f() }}{{ i }}",
    "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro f() %}[{{ caller() }}]{% endmacro %}{% call f() %}body {{ i }}{% endcall %}",
    "{% macro f(x) %}[{{ caller(x, 2) }}]{% endmacro %}{% call(a, b) f(1) %}{{ a }}-{{ b }}"
    "{% endcall %}",
    "{% macro f() %}x{% endmacro %}{% call f() %}body{% endcall %}",
    "{% macro f() %}{{ caller is defined }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}"
    "{{ f() }}{% call f() %}c{% endcall %}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{{ f('a')|upper }}{{ f.name }}{{ [f('x')] }}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{% for y in l %}{{ f(y) }}{% endfor %}",
    "{% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(*[1, 2]) }}{{ f(**{'a': 3, 'b': 4}) }}",
    "{% for x in l %}{% macro f() %}{{ x }}{% endmacro %}{{ f() }}{% endfor %}{{ f() }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}abc{% endfilter %}",
    "{% generation %}x{% set y = 1 %}{{ y }}{% endgeneration %}{{ y }}",
    "{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% block a %}{{ i }}{% endblock %}{% block b %}x{% endblock b %}",
    "{% print i, s %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}",
    "{%- raw -%}  {{ x }}  {%- endraw -%}  y",
    "{# comment {{ x }} #}a{#- b -#} c",
    "{{ '{{' }}{{ '}}' }}{{ '%}' }}",
    "{{ {'a': {'b': 1}}['a']['b'] }}",
    "{% if x is not defined %}a{% endif %}",
    "{% set x = none %}{% if x is not none %}a{% else %}b{% endif %}",
    "{% break %}", "{% continue %}",
    "{% do l %}", "{% nosuch %}", "{% if %}x{% endif %}", "{% if t %}", "{% endif %}",
    "{% for x in l %}", "{% for in l %}{% endfor %}", "{% set 1 = 2 %}", "{% set none = 2 %}",
    "{{ }}", "{{ i i }}", "{{ (i }}", "{{ i) }}", "{{ [1 }}", "{{ 'a }}", "{{ i | }}", "{{ i. }}",
    "{{ i", "{% if t", "{# x", "{% raw %}x", "{{ 1 + }}", "{{ * }}", "{{ $ }}", "{{ f(a=1, 2) }}",
    "{{ a = 1 }}", "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}",
    "{% else %}", "{% if t %}a{% else %}b{% else %}c{% endif %}", "{{ i is }}", "{{ not }}",
    "{% macro %}{% endmacro %}", "{% macro f(a=1, b) %}{% endmacro %}", "{% call x %}{% endcall %}",
    "{% set x %}a", "{% with a %}{% endwith %}", "{{ 012 }}", "{{ 1.2.3 }}", "{{ .5 }}", "{{ 1. }}",
    "{{ {'a' 1} }}", "{{ i if }}", "{{ l[] }}", "{{ l[1:2:3:4] }}", "{{ l[1, 2] }}", "{{ d[1:2] }}",
    "{{ l['a':] }}", "{{ '\\xZZ' }}", "{{ a..b }}", "{{ 1 not 2 }}", "}} %} #}", "{ { x } }", "{",
    "{% for x in l %}{{ x }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for x in l -%} {{ x }} {%- endfor %}",
    "{% for m in msgs %}{{ m.role }}: {{ m.content or '' }}{{ '\\n' }}{% endfor %}",
    "{% set g = l|map('string') %}{{ g|join }}{{ g|join }}|",
    "{% set g = l|select('odd') %}{% for x in g %}{{ x }}{% endfor %}{% for x in g %}{{ x }}"
    "{% else %}gone{% endfor %}",
    "{% set g = l|map('string') %}{{ g|first }}{{ g|list }}",
    "{% for g in rows[:3]|groupby('v') %}{{ g.grouper }}:{{ g.list|length }};{% endfor %}",
    "{% for v, items in rows[:3]|groupby('v') %}{{ v }}{{ items|map(attribute='name')|join }}"
    "{% endfor %}",
    "{{ strftime_now('%Y') | length }}",
    "{%if t%}a{%endif%}{{i}}{%-if t-%} b {%-endif-%} c",
]


def test_statements_do_what_jinja_does(ask):
    check(ask, [(t, VARIABLES) for t in STATEMENTS])


def test_strftime_now_uses_local_time(ask):
    now = datetime(2024, 7, 26, 13, 5, 9, tzinfo=timezone.utc)
    formats = ["%d %b %Y", "%Y-%m-%d", "%B %d, %Y", "%A %a %j %U %w", "%H:%M:%S %p %I", "%f|%z|%Z|%%",
               "%-d %e %y"]
    template = "|".join("{{ strftime_now(" + repr(f) + ") }}" for f in formats)
    ours = ask([{"template": template, "variables": {}, "now": int(now.timestamp())}])[0]
    local = datetime.fromtimestamp(now.timestamp()).replace(microsecond=0)
    assert ours == {"text": "|".join(local.strftime(f) for f in formats)}

"""Chat templates against transformers' own Jinja environment: expressions, statements, white space,
templates in the style of the large families, the real templates that are at hand, and hostile ones.
"""

import copy
import json
import random
from datetime import datetime, timezone
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import _compile_jinja_template

ROOT = Path(__file__).resolve().parents[2]


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

EXPRESSIONS = r"""
i + n
i - f
i * 3
7 / 2
7 // 2
-7 // 2
-7 % 3
7 % -3
7.5 % 2
-7.5 // 2
2 ** 10
2 ** -1
2 ** 0.5
-2 ** 2
2 ** 3 ** 2
1 / 0
1 % 0
0.1 + 0.2
1e16
1e15
1e-4
0.00001
1.0
100000000000000000.0
123456789012345.678
g
1_000
0x1f
0b101
0o17
1.5e3
+i
not i
not z
i and s
z or s
z and s
none_ or 'x'
i if t else s
i if no
i if no else n if t else z
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == True
'a' == 1
l == [3, 1, 2]
d == {'C': 'z', 'b': 1, 'a': [1, {'x': none}]}
[1, 2] < [1, 3]
'a' < 'b'
'a' < 1
none_ < 1
'or' in s
'xx' not in s
3 in l
'b' in d
1 in 'a'
'x' in undefined_thing
s ~ i ~ none_ ~ t ~ f
s + 'x'
s + 1
1 + s
'ab' * 3
3 * 'ab'
[0] * 3
l + [9]
(1, 2) + (3,)
l + (1,)
'%s is %d years, %.2f' % ('Bob', 42, 1.005)
'%5d|%-5d|%05d|%+d|%x|%X|%o' % (42, 42, 42, 42, 255, 255, 8)
'%(a)s and %(b)r' % {'a': 1, 'b': 'x'}
'%s' % 'x'
'%%' % ()
'%s %s' % ('a',)
'%10.3f|%-10s|%e|%g' % (3.14159, 'ab', 12345.678, 0.0001)
'%s' % none
'%r %s' % (u, [u])
l
d
mixed
nested
none_
t
f
[1.0, 2.5e-7, 1e300, 'a\'b', "a\"b", 'a\'"b']
q
[q]
[u]
['\x00\x7f\xa0\u200b\u2028\U0001F600é']
(1,)
()
(1, 'a', none)
{}
{'a': {'b': [1, (2,)]}}
{1: 'a', none: 2, true: 3, (1, 2): 4}
{'a': 1, 'a': 2}
{[]: 1}
'a' 'b' "c"
'\n\t\\\x41\u00e9\101\q'
l[0]
l[-1]
l[5]
l[1:]
l[:-1]
l[::-1]
l[::2]
l[-2:]
l[10:]
l[2:0:-1]
l[::0]
s[0]
s[-1]
s[100]
s[1:4]
u[8:10]
u[::-1]
u[-2]
u|length
d['b']
d.b
d['zz']
d.zz
d.zz.yy
d['a'][1].x
d.items
dictkeys.items()|list
dictkeys['items']
dictkeys.get
dictkeys['x-y']
none_.x
none_.x.y
i.x
s.x
nope
nope.x
nope()
nope|default('d')
nope|d
empty|default('d')
empty|default('d', true)
none_|default('d')
none_|default('d', boolean=true)
nope is defined
s is defined
d.zz is defined
nope is undefined
none_ is none
i is number
t is number
f is float
i is integer
t is integer
t is boolean
s is string
d is mapping
l is mapping
l is sequence
d is sequence
s is sequence
i is sequence
l is iterable
s is iterable
i is iterable
nope is iterable
range is callable
s is callable
t is true
i is true
no is false
i is odd
i is even
i is divisibleby 7
i is divisibleby(2)
i is eq 7
i is equalto(7)
i is ne 7
i is gt 3
i is greaterthan 9
i is lt 9
i is ge 7
i is le 6
i is sameas 7
none_ is sameas none
l is sameas l
3 is in l
3 is in [1]
'abc' is lower
'ABC' is upper
i is not odd
i is not divisibleby 2
'upper' is filter
'nope' is filter
'even' is test
not nope is defined
i is nosuchtest
s|upper
s|lower
s|length
s|trim
sp|trim
'xxaxx'|trim('x')
s|capitalize
'hello wORLD-foo (bar)'|title
"they're bill's"|title
"they're bill's".title()
s|replace('o', '0')
s|replace('o', '0', 1)
'aaa'|replace('', '-')
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
s|reverse
l|reverse|list
l|reverse
l|sort
l|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
mixed|sort
rows[:3]|sort(attribute='v')|map(attribute='name')|join
rows[:3]|sort(attribute='v,name', reverse=true)|map(attribute='name')|join
rows[:3]|sort(attribute='tag.k')|map(attribute='name')|join
words|first
words|last
e|first
e|last
s|first
d|first
s|list
d|list
i|list
l|join
l|join(', ')
rows|join(',', attribute='name')
mixed|join('-')
i|join
u|join('.')
words|map('upper')|list
words|map('upper')
words|map('replace', 'p', 'P')|list
words|map('nofilter')|list
rows|map(attribute='v')|list
rows|map(attribute='v', default=0)|list
rows|map(attribute='tag.k')|list
rows[:3]|map(attribute='tag.k')|list
nested|map('first')|list
l|select('odd')|list
l|select('gt', 1)|list
l|reject('odd')|list
mixed|select|list
mixed|reject|list
rows|selectattr('v')|map(attribute='name')|list
rows|selectattr('v', 'defined')|map(attribute='name')|list
rows|selectattr('v', 'equalto', 3)|map(attribute='name')|list
rows|rejectattr('v', 'eq', 3)|map(attribute='name')|list
rows|selectattr('tag.k', 'eq', 'B')|list|length
rows|selectattr('name', 'in', ['x', 'w'])|map(attribute='name')|join
(rows|selectattr('v', 'eq', 99)) is true
(rows|selectattr('v', 'eq', 99)) and 'yes'
rows|selectattr('v')|length
[1, 1, 2, 'a', 'A']|unique|list
[1, 1, 2, 'a', 'A']|unique(case_sensitive=true)|list
l|sum
rows[:3]|sum(attribute='v')
l|sum(start=10)
words|sum
l|min
l|max
words|min
words|max
e|max
rows[:3]|max(attribute='v')
l|batch(2)|list
l|batch(2, 'x')|list
range(7)|slice(3)|list
range(7)|slice(3, 'x')|list
rows[:3]|groupby('v')
rows[:3]|groupby('tag.k')|map(attribute='grouper')|list
rows|groupby('v', default=0)|map('first')|list
d|dictsort
d|dictsort(true)
{'a': 2, 'b': 1}|dictsort(by='value')
{'a': 2, 'b': 1}|dictsort(reverse=true)
d|items|list
nope|items|list
l|items|list
d.keys()
d.values()|list
d.items()
d.keys()|list
d.get('b')
d.get('zz')
d.get('zz', 5)
d.update({'x': 1})
d.pop('b')
d.copy()
l.append(1)
l.append
l.append is defined
l.index(1)
l.index(99)
l.count(3)
(1, 2, 1).count(1)
i|string + 'x'
'42'|int
num|int + 1
'0x1A'|int(0, 16)
'1a'|int
'1a'|int(-1)
'3.9'|int
'1e3'|int
f|int
-2.7|int
none_|int
l|int(5)
nope|int
'ff'|int(base=16)
'1_000'|int
'3.5'|float
'x'|float
'x'|float(1.5)
'inf'|float
'-1e5'|float
t|int
n|abs
-2.5|abs
s|abs
2.5|round
3.5|round
-2.5|round
2.675|round(2)
42|round
42.7|round(0, 'floor')
42.1|round(method='ceil')
1234.5|round(-2)
1.05|round(1)
lines|indent
lines|indent(2, true)
lines|indent(2, first=true, blank=true)
lines|indent('>> ')
s|wordcount
u|wordcount
'<a href="x">\'&'|e
'<b>'|escape
s|safe
'%s=%d'|format('a', 5)
'%(x)s'|format(x=1)
u|urlencode
{'a b': 'c&d', 'e': 1}|urlencode
'a/b c'|urlencode
s|center(21)
'ab'|center(5)
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11, false, '>', 0)
s|tojson
q|tojson
u|tojson
u|tojson(ensure_ascii=true)
d|tojson
d|tojson(indent=2)
d|tojson(indent=4, sort_keys=true)
d|tojson(separators=(',', ':'))
mixed|tojson
e|tojson
ed|tojson(indent=2)
[e, ed]|tojson(indent=1)
(1, 2)|tojson
{1: 2, none: 3, true: 4, 2.5: 5}|tojson
g|tojson
1e-7|tojson
nope|tojson
range(3)|tojson
d.items()|tojson
'\u2028\x7f\x01'|tojson
msgs[2]|tojson
d|string
d|length
i|length
d|count
s.split()
s.split('o')
s.split('o', 1)
csv.split(',')
csv.split(',', 2)
csv.rsplit(',', 1)
sp.split()
' a  b c '.split(none, 1)
' a  b c '.split(maxsplit=1)
' a  b c '.rsplit(none, 1)
s.split('')
lines.splitlines()
lines.splitlines(true)
s.strip('Hd')
sp.strip() ~ '|'
sp.lstrip() ~ '|'
sp.rstrip() ~ '|'
'xyxhix'.lstrip('xy')
s.startswith('Hell')
s.startswith(('x', 'H'))
s.endswith('ld')
s.endswith(('x', 'y'))
s.startswith('W', 6)
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
s.index('zz')
u.find('世')
u.index('界')
s.count('o')
'aaaa'.count('aa')
s.count('')
s.upper()
u.upper()
u.lower()
'ΑΣΑΣ ΣΑΣ'.lower()
'straße'.upper()
s.lower()
s.title()
s.capitalize()
s.swapcase()
'abc'.isalpha()
'ab1'.isalnum()
'12'.isdigit()
''.isdigit()
'²'.isdigit()
'½'.isnumeric()
'１２'.isdecimal()
' \t'.isspace()
'Ab'.isupper()
'AB1'.isupper()
'ab'.islower()
'Hello World'.istitle()
'abc'.isascii()
u.isascii()
', '.join(words)
', '.join(mixed)
''.join('abc')
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'abc'.rpartition('-')
'prefix-x'.removeprefix('prefix-')
'x.txt'.removesuffix('.txt')
'ab'.center(6, '*')
'ab'.center(5, '*')
'abc'.center(6)
'ab'.ljust(5) ~ '|'
'ab'.rjust(5, '.')
'42'.zfill(5)
'-42'.zfill(5)
'{} and {}'.format('a', 1)
'{1} {0} {x}'.format('a', 'b', x='c')
'{:>8}|{:<8}|{:^8}|{:*^9}'.format('a', 'b', 'c', 'd')
'{:.2f} {:5d} {:05d} {:,} {:+}'.format(3.14159, 42, 42, 1234567, 5)
'{:x} {:#x} {:b} {:e} {:%}'.format(255, 255, 5, 12345.678, 0.25)
'{0[a]} {1[0]}'.format({'a': 1}, [5])
'{{}} {!r}'.format('x')
'{:.3}'.format('abcdef')
'{} {}'.format(1)
'{:g} {:.3g} {:G}'.format(0.00001, 1234.5, 1e20)
'{} {} {}'.format(1.0, none, true)
range(5)
range(5)|list
range(1, 10, 3)|list
range(5, 0, -2)|list
range(3)[1]
range(3)|length
range(0)|list
range(1, 2, 0)
dict(a=1, b=2)
dict([('a', 1)], b=2)
dict(d, b=9)
namespace(a=1).a
namespace(a=1).zz
namespace({'a': 2}, b=3).b
raise_exception('boom')
l is defined and l|length > 2
msgs[0].role == 'system' and msgs[0]['content'] or ''
msgs[2].content is none
msgs[2].tool_calls[0].f.a
msgs[2].tool_calls is defined and msgs[2].tool_calls
(msgs|map(attribute='role')|list)[-1]
msgs|selectattr('role', 'equalto', 'user')|map(attribute='content')|first
msgs[::-1]|map(attribute='role')|join(',')
msgs[1:]|length
'a' if s is string and not (i is odd) else 'b'
(i, s)[0]
[i, n]|max - [i, n]|min
i|float / 2
-i|abs
(-i)|abs
s[1:][0]
s.upper().lower()[0:3]|upper
{'a': 1}.a
[1, 2,]
{'a': 1,}
foo.bar.baz is defined
d.a[1]['x'] is none
s|attr('upper')
d|attr('b')
10 is divisibleby 5 and 3 is odd
1 if 2 is odd else 3
'x' ~ ('y' if no) ~ 'z'
l.0
l.1 + 1
"line\
continued"
lines|length
1 in l == true
not 1 == 2
not none_ is none
1 is number is number
'a' is in 'abc'
2 is not in l
true and false or true
True == true
None
s.nope
s.nope()
s|nofilter
[]|first is undefined
caller
loop
self_
9223372036854775807 + 0
l|tojson|length
words|sort|reverse|list|join('/')
words|map('length')|list
words|map('upper')|map('first')|join
1.5|string|length
""|length
{}|length
nope|length
nope|list
nope|upper ~ '|'
nope ~ 'x'
nope + 'x'
nope == none
nope == nope2
nope != 1
-nope
nope < 1
nope[0]
[nope]
{'a': nope}
nope|join
nope|string|length
(1 if no)|default('none')
i == 7 and 'seven' or 'other'
""".strip("\n").split("\n")
# A backslash and a newline inside one expression: put the two halves together again.
EXPRESSIONS = [e for e in "\n".join(EXPRESSIONS).replace('\\\ncontinued"', '\x00').split("\n")]
EXPRESSIONS = [e.replace("\x00", '\\\ncontinued"') for e in EXPRESSIONS]

# What our generators and functions print is an address in Python.
UNPRINTABLE = {"l|reverse", "words|map('upper')", "d.items", "dictkeys.get", "s|attr('upper')"}


def test_expressions_give_what_jinja_gives(ask):
    cases = [("{{ " + e + " }}", VARIABLES) for e in EXPRESSIONS if e not in UNPRINTABLE]
    assert len(cases) > 400
    check(ask, cases)


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


def test_white_space_control(ask):
    """Every mix of signs, newlines and indentation around tags."""
    rng = random.Random(1)
    cases = []
    for _ in range(1500):
        out, depth = [], 0
        for _ in range(rng.randint(1, 7)):
            out.append("".join(rng.choice([" ", "\n", "\t", "a", "\r\n", "\u00a0", "é", "  \n  "])
                               for _ in range(rng.randint(0, 5))))
            left, right = rng.choice(["", "-", "+", ""]), rng.choice(["", "-", "", "+"])
            kind = rng.choice(["if", "end", "var", "comment", "raw", "set"])
            if kind == "end" and depth == 0:
                kind = "var"
            if kind == "if":
                out.append("{%" + left + " if t " + right + "%}")
                depth += 1
            elif kind == "end":
                out.append("{%" + left + " endif " + right + "%}")
                depth -= 1
            elif kind == "var":
                out.append("{{" + left + " 'v' " + right.replace("+", "") + "}}")
            elif kind == "comment":
                out.append("{#" + left + " c " + right + "#}")
            elif kind == "set":
                out.append("{%" + left + " set x = 1 " + right + "%}")
            else:
                out.append("{%" + left + " raw " + right.replace("+", "") + "%} {{ r }}\n {%"
                           + rng.choice(["", "-", "+"]) + " endraw " + right + "%}")
        out.append(rng.choice(["", "\n", "\n\n", " \n", "x"]))
        out.extend(["{% endif %}"] * depth)
        out.append(rng.choice(["", "\n", "\n\n", " \n", "x"]))
        cases.append(("".join(out), {"t": True}))
    check(ask, cases)


def test_random_expressions(ask):
    """Expressions grown at random from a grammar: operators, filters, subscripts, methods."""
    rng = random.Random(2)
    # Names rather than literals: what Jinja folds at compile time fails in another way.
    atoms = ["i", "n", "z", "f", "t", "none_", "s", "u", "empty", "l", "e", "d", "words", "nested",
             "mixed", "nope", "q", "sp", "num", "no", "ed", "[i, 'b']", "(n, 2)"]
    filters = ["upper", "length", "list", "string", "int", "float", "first", "last", "sort", "trim",
               "join(',')", "tojson", "reverse|list", "default('D')", "abs", "round(1)", "title",
               "capitalize", "unique|list", "sum", "min", "max", "select|list", "map('string')|list",
               "replace('l', 'L')", "batch(2)|list", "dictsort", "items|list"]
    tests = ["defined", "none", "string", "number", "mapping", "sequence", "iterable", "boolean",
             "integer", "float", "odd", "even", "true", "false", "lower", "upper", "eq 1",
             "in [1, 'x']", "divisibleby 2"]
    methods = ["upper()", "split()", "strip()", "items()|list", "get('b')", "keys()|list", "index(1)",
               "count('l')", "startswith('H')", "title()", "splitlines()", "replace('o', '')"]
    binary = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in",
              "and", "or"]

    def grow(depth):
        if depth == 0:
            return rng.choice(atoms)
        pick = rng.random()
        inner = grow(depth - 1)
        if pick < 0.35:
            return f"({inner} {rng.choice(binary)} {grow(depth - 1)})"
        if pick < 0.55:
            return f"({inner})|{rng.choice(filters)}"
        if pick < 0.65:
            return f"({inner}) is {rng.choice(tests)}"
        if pick < 0.75:
            return f"({inner})[{rng.choice(['0', '-1', '1:', '::-1', ':2', repr('b')])}]"
        if pick < 0.85:
            return f"({inner}).{rng.choice(methods)}"
        if pick < 0.92:
            return f"({inner} if {grow(depth - 1)} else {grow(depth - 1)})"
        return f"(not {inner})" if pick < 0.96 else f"[{inner}, {grow(depth - 1)}]"

    cases = []
    for _ in range(2500):
        expression = grow(rng.randint(1, 4))
        expected = oracle("{{ " + expression + " }}", VARIABLES)
        printed = expected.get("text", "")
        if " at 0x" in printed or len(printed) > 20000:
            continue  # an address
        cases.append(("{{ " + expression + " }}", VARIABLES))
    assert len(cases) > 2000
    check(ask, cases)


def test_strftime_now_uses_local_time(ask):
    now = datetime(2024, 7, 26, 13, 5, 9, tzinfo=timezone.utc)
    formats = ["%d %b %Y", "%Y-%m-%d", "%B %d, %Y", "%A %a %j %U %w", "%H:%M:%S %p %I", "%f|%z|%Z|%%",
               "%-d %e %y"]
    template = "|".join("{{ strftime_now(" + repr(f) + ") }}" for f in formats)
    ours = ask([{"template": template, "variables": {}, "now": int(now.timestamp())}])[0]
    local = datetime.fromtimestamp(now.timestamp()).replace(microsecond=0)
    assert ours == {"text": "|".join(local.strftime(f) for f in formats)}


# Templates in the style of the large families, written for this test.
FAMILIES = {
    "chatml": """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}""",
    "llama3": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {{- "You have access to the following functions.\\n\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    "qwen3": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    "mistral": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("Roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported!") }}
    {%- endif %}
{%- endfor %}
""",
    "gemma": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}""",
    "gemma_parts": """{{ bos_token }}
{%- set first_user_prefix = "" -%}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {{ '<start_of_turn>' + message['role'] + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
""",
    "deepseek": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<｜Assistant｜><｜tool▁calls▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + (tool['function']['arguments'] if tool['function']['arguments'] is string else tool['function']['arguments']|tojson) + '\\n' + '```'}}{%- set ns.is_first = true -%}{%- else %}{{'\\n' + tool['function']['name']}}{%- endif %}{%- endfor %}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{{'<｜tool▁output▁begin｜>' + message['content'] + '<｜tool▁output▁end｜>'}}{%- endif %}{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜>'}}{% endif %}""",
    "phi": """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'user' %}{{'<|user|>
' + message['content'] + '<|end|>
'}}{% elif message['role'] == 'assistant' and message['content'] %}{{'<|assistant|>
' + message['content'] + '<|end|>
'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>
' }}{% else %}{{ eos_token }}{% endif %}""",
    "llama2": """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "macros": """{%- macro render_type(spec, depth=0) -%}
    {%- if spec.type == 'array' -%}{{ render_type(spec['items'], depth + 1) }}[]
    {%- elif spec.enum is defined -%}{{ spec.enum|map('tojson')|join(' | ') }}
    {%- elif spec.type == 'object' -%}{
        {%- for name, inner in spec.properties.items() -%}
            {{ name }}{{ '' if name in spec.get('required', []) else '?' }}: {{ render_type(inner) }}{{ ', ' if not loop.last }}
        {%- endfor -%}}
    {%- else -%}{{ spec.type|default('any') }}{%- endif -%}
{%- endmacro -%}
{%- if tools -%}{%- for tool in tools %}
// {{ tool.function.description }}
type {{ tool.function.name }} = (_: {{ render_type(tool.function.parameters) }}) => any;
{%- endfor -%}{%- endif -%}
{% for message in messages %}
<{{ message.role }}>{% generation %}{{ message.content if message.content is string else message.content|tojson }}{% endgeneration %}</{{ message.role }}>
{% endfor %}""",
}

TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather \"now\" in 東京",
    "parameters": {"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]},
        "days": {"type": "array", "items": {"type": "integer"}}}}}}]

CHATS = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hello\nworld "},
     {"role": "assistant", "content": "Grüße 👋🏽 <b>\"'&"}, {"role": "user", "content": ""}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
     {"role": "user", "content": "c"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nd"}],
    [{"role": "user", "content": "q"},
     {"role": "assistant", "content": None, "tool_calls": [
         {"id": "abcdefghi", "type": "function",
          "function": {"name": "get_weather", "arguments": {"place": "北京", "days": [1, 2.5]}}}]},
     {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefghi", "content": "{\"t\": 3}"}],
    [{"role": "user", "content": [{"type": "text", "text": "look "}, {"type": "image"}]}],
    [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}],
    [{"role": "user", "content": "r"},
     {"role": "assistant", "content": "ok", "reasoning": "because"}],
    [{"role": "tool", "content": "1"}, {"role": "assistant", "content": "2", "thinking": "t"}],
]


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
    for template in templates.values():
        assert _compare_chats(ask, template) > 0


def test_the_template_of_the_default_model(ask, smollm2):
    from gguf import GGUFReader

    field = GGUFReader(str(smollm2)).fields["tokenizer.chat_template"]
    assert _compare_chats(ask, bytes(field.parts[field.data[0]]).decode()) > 0


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


def test_messages_that_are_not_objects_are_refused(ask):
    for bad in ([1], "x", {"a": 1}, None, [[]]):
        answer = ask([{"template": "x", "messages": bad}])[0]
        assert answer.get("error", "").startswith("t: "), answer

"""Expressions of chat templates: each gives what transformers' own Jinja environment gives."""

from jinja_oracle import VARIABLES, ask, check  # noqa: F401

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

"""Random white space and expressions of chat templates, against transformers' own Jinja."""

import random

from jinja_oracle import VARIABLES, ask, check, oracle  # noqa: F401


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

"""Reads the operators' declarations: their form is fixed (include/tallow/ops.h says how)."""

import re
from dataclasses import dataclass, field

from .names import ATTRIBUTES

# C++ type -> (kind of the parser, accessor of Args)
TYPES = {
    "const Tensor&": ("tensor", "tensor"),
    "const Tensors&": ("tensors", "tensors"),
    "const Scalar&": ("scalar", "scalar"),
    "int64_t": ("integer", "integer"),
    "double": ("real", "real"),
    "bool": ("boolean", "boolean"),
    "std::string_view": ("string", "string"),
    "const Dims&": ("dims", "dims"),
    "const Padding&": ("padding", "padding"),
    "const Shape&": ("shape", "shape"),
    "const Reals&": ("reals", "reals"),
    "DType": ("dtype", "dtype"),
    "Device": ("device", "device"),
    "std::optional<int64_t>": ("integer", "maybe_integer"),
    "std::optional<double>": ("real", "maybe_real"),
    "std::optional<bool>": ("boolean", "maybe_boolean"),
    "std::optional<Scalar>": ("scalar", "maybe_scalar"),
    "std::optional<DType>": ("dtype", "maybe_dtype"),
    "std::optional<Device>": ("device", "maybe_device"),
    "std::optional<Generator>": ("generator", "maybe_generator"),
}
RESULTS = {"Tensor", "Tensors", "bool", "int64_t", "double", "DType", "Scalar", "void"}


@dataclass
class Parameter:
    type: str
    name: str
    default: str | None
    written: str = ""  # the type as the header has it

    @property
    def kind(self):
        return TYPES[self.type][0]

    @property
    def accessor(self):
        return TYPES[self.type][1]

    @property
    def required(self):
        return self.default is None


@dataclass
class Declaration:
    header: str  # "elementwise"
    space: str  # "", "linalg", "fft"
    name: str
    result: str
    parameters: list
    doc: str
    member: bool = False  # a method that tensor.h declares itself

    @property
    def is_method(self):
        return bool(self.parameters) and self.parameters[0].name == "self" and not self.space

    @property
    def cpp(self):
        return f"{self.space}::{self.name}" if self.space else self.name


@dataclass
class Api:
    declarations: list = field(default_factory=list)
    structs: dict = field(default_factory=dict)  # name -> fields
    skipped: list = field(default_factory=list)
    headers: list = field(default_factory=list)
    own_methods: set = field(default_factory=set)  # that tensor.h declares by hand

    def functions(self):
        """(space, name) -> overloads, in header order."""
        table = {}
        for d in self.declarations:
            if not d.member:
                table.setdefault((d.space, d.name), []).append(d)
        return table

    def methods(self):
        """name -> overloads of the methods of Tensor."""
        table = {}
        for d in self.declarations:
            if not d.member and d.is_method and d.name not in ATTRIBUTES:
                table.setdefault(d.name, []).append(d)
        for d in self.declarations:
            if d.member and d.name not in table:
                table[d.name] = [d]
        return table


def split_parameters(text):
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += c in "<({"
        depth -= c in ">)}"
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [p.strip() for p in parts if p.strip()]


def parse_parameter(text):
    text, _, default = text.partition(" = ")
    match = re.fullmatch(r"(.+[ &])(\w+)", text.strip())
    if not match:
        return None
    written = type_ = match[1].strip()
    inner = re.fullmatch(r"const (std::optional<[\w:]+>)&", type_)
    type_ = inner[1] if inner else type_
    if type_ not in TYPES:
        return None
    return Parameter(type_, match[2], default.strip() or None, written)


def chunks(text):
    """(doc, statement) of each statement at namespace level, with "namespace x {" and "}" as
    statements of their own."""
    doc, statement, depth = [], "", 0
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("///") and not statement:
            doc.append(stripped[3:].strip())
            continue
        code, behind, comment = line.partition("///<")
        if behind:
            doc.append(comment.strip())
        code = re.sub(r"//.*", "", code).strip()
        if not code or code.startswith("#"):
            if not statement and not stripped:
                doc = []
            continue
        if not statement and re.match(r"namespace [\w:]+ \{", code):
            yield "", code
            continue
        if not statement and code == "}":
            yield "", code
            continue
        statement = f"{statement} {code}".strip()
        depth = statement.count("{") - statement.count("}")
        if depth == 0 and (statement.endswith(";") or statement.endswith("}")):
            yield "\n".join(doc).strip(), statement
            doc, statement = [], ""


def read_header(path, api):
    space = []
    for doc, statement in chunks(path.read_text()):
        if match := re.match(r"namespace ([\w:]+) \{(.*)$", statement):
            if "}" not in match[2]:
                space.append(match[1])
        elif statement == "}":
            if space:
                space.pop()
        elif match := re.fullmatch(r"struct (\w+) \{(.*)\};", statement):
            fields = []
            for piece in match[2].split(";"):
                piece = piece.strip()
                if not piece:
                    continue
                inner = re.fullmatch(r"(Tensor|Tensors) (.*)", piece)
                if not inner or "=" in piece:
                    fields = None
                    break
                fields += [n.strip() for n in inner[2].split(",")]
            if fields:
                api.structs[match[1]] = fields
        elif match := re.fullmatch(r"(?:\[\[nodiscard\]\] )?([\w:]+) (\w+)\((.*)\);", statement):
            name = "::".join(space).removeprefix("tallow").removeprefix("::")
            add(api, path.stem, name, match[1], match[2], match[3], doc)


def add(api, header, space, result, name, parameters, doc):
    parsed = [parse_parameter(p) for p in split_parameters(parameters)]
    if None in parsed or space == "detail" or name.startswith("operator"):
        api.skipped.append(f"{header}: {name}({parameters})")
        return
    api.declarations.append(Declaration(header, space, name, result, parsed, doc))


def read_members(path, api):
    """The methods of class Tensor that tensor.h declares by hand."""
    text = path.read_text()
    body = text[text.index("class Tensor {"):text.index("};", text.index("class Tensor {"))]
    pattern = r"^  ([\w:&<> ]+?) (\w+)\(((?:[^()]|\(\))*)\)( const)?;( *///< (.*))?$"
    for match in re.finditer(pattern, body, re.M):
        api.own_methods.add(match[2])
        result, name, parameters, const = match[1], match[2], match[3], match[4]
        if result != "Tensor" or not const or name in ("grad", "impl"):
            continue
        parsed = [parse_parameter(p) for p in split_parameters(parameters)]
        if None in parsed:
            continue
        me = Parameter("const Tensor&", "self", None)
        api.declarations.append(
            Declaration("tensor", "", name, result, [me, *parsed], match[6] or "", member=True))


def read(root):
    api = Api()
    folder = root / "include/tallow/ops"
    for path in sorted(folder.glob("*.h")):
        read_header(path, api)
        api.headers.append(path.stem)
    api.headers.append("tensor")
    read_members(root / "include/tallow/tensor.h", api)
    known = RESULTS | set(api.structs)
    for d in list(api.declarations):
        if d.result not in known:
            api.skipped.append(f"{d.header}: {d.result} {d.name}")
            api.declarations.remove(d)
    return api

#include "ops/elementwise/kernel.h"

#include <algorithm>
#include <cstring>

#include "ops/elements.h"
#include "ops/shape/move_kernels.h"
#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow::elementwise {
namespace {

constexpr int kMaxInputs = 3;
constexpr int64_t kGrain = 32 * kChunk;
// Shorter rows are gathered into chunks: a call per row would cost more than the row.
constexpr int64_t kLongRow = 64;
constexpr int64_t kFarBytes = 16 << 10;  // that are computed in the cache before they leave it

struct alignas(16) Element {
  std::byte bytes[16];
};

// One input, as the loop walks it.
struct Operand {
  const std::byte* base;
  DType dtype, type;  // of the tensor, and what the loop reads
  int64_t bytes;      // of an element of the tensor
  Shape strides;      // over the plan's shape
  bool single = false, dense = false;
  bool periodic = false;  // a short row that repeats
  Element value;          // of a single one, converted
};

struct Walk {
  Loop loop;
  Shape shape;  // of the output, neighbouring dimensions joined where every input allows it
  Operand operands[kMaxInputs];
  int count;
  std::byte* out;
  DType out_dtype, result;
  int64_t out_bytes;
  int64_t total;
  const double* p;
};

// Marks the inputs that repeat one row, short enough for a chunk.
void mark_periodic(Walk& w) {
  if (w.shape.size() < 2 || w.shape.back() > kChunk / 2) return;
  for (int k = 0; k < w.count; ++k) {
    Operand& o = w.operands[k];
    o.periodic = !o.single && !o.dense;
    for (int d = 0; d < w.shape.size() - 1; ++d) o.periodic &= o.strides[d] == 0;
  }
}

void join_dimensions(Walk& w) {
  Shape& shape = w.shape;
  auto joins = [&](int i) {
    for (int k = 0; k < w.count; ++k) {
      const Operand& o = w.operands[k];
      if (!o.single && o.strides[i] != o.strides[i + 1] * shape[i + 1]) return false;
    }
    return true;
  };
  for (int i = shape.size() - 1; i >= 0 && shape.size() > 1; --i) {
    bool merge = i + 1 < shape.size() && shape[i] != 1 && joins(i);
    if (shape[i] != 1 && !merge) continue;
    if (merge) shape[i + 1] *= shape[i];
    shape.erase(i);
    for (int k = 0; k < w.count; ++k) w.operands[k].strides.erase(i);
  }
}

int64_t offset_of_row(const Walk& w, const Operand& o, int64_t row) {
  int64_t offset = 0;
  for (int d = w.shape.size() - 2; d >= 0; --d) {
    offset += row % w.shape[d] * o.strides[d];
    row /= w.shape[d];
  }
  return offset;
}

// A pointer to elements [begin, begin + n) of the flat output's order, as the loop reads them.
const void* stretch(const Walk& w, const Operand& o, int64_t begin, int64_t n, Element* scratch,
                    Element* packed) {
  const std::byte* from = o.base;
  if (o.dense) {
    from += begin * o.bytes;
  } else {
    const StridedElements view{o.base, o.bytes, w.shape, o.strides};
    Element* to = o.dtype == o.type ? scratch : packed;
    gather_elements(view, begin, n, to);
    from = reinterpret_cast<const std::byte*>(to);
  }
  if (o.dtype == o.type) return from;
  convert_elements(o.dtype, from, o.type, scratch, n);
  return scratch;
}

// Elements [begin, end) to `out`, which lie in one row or are gathered, in chunks where a
// conversion needs memory.
void run_gathered(const Walk& w, int64_t begin, int64_t end, std::byte* out) {
  Element scratch[kMaxInputs][kChunk], packed[kChunk];
  bool converts = w.out_dtype != w.result;
  // A row that repeats is written out once; the chunks are whole rows then.
  int64_t width = w.shape.empty() ? 1 : w.shape.back(), chunk = kChunk;
  for (int k = 0; k < w.count; ++k) {
    if (!w.operands[k].periodic) continue;
    chunk = kChunk / width * width;
    int64_t start = begin % width;
    stretch(w, w.operands[k], start, std::min(chunk, w.total - start), scratch[k], packed);
  }
  for (int64_t i = begin; i < end; i += chunk) {
    int64_t n = std::min(chunk, end - i);
    const void* in[kMaxInputs];
    unsigned single = 0;
    for (int k = 0; k < w.count; ++k) {
      const Operand& o = w.operands[k];
      single |= static_cast<unsigned>(o.single) << k;
      in[k] = o.single     ? &o.value
              : o.periodic ? scratch[k]
                           : stretch(w, o, i, n, scratch[k], packed);
    }
    std::byte* to = out + (i - begin) * w.out_bytes;
    w.loop(in, converts ? packed : static_cast<void*>(to), n, single, w.p);
    if (converts) convert_elements(w.result, packed, w.out_dtype, to, n);
  }
}

// Elements [begin, end) to `out`, row by row, straight from the inputs' memory: each is contiguous
// in a row, or one element.
void run_rows(const Walk& w, int64_t begin, int64_t end, std::byte* out) {
  int64_t width = w.shape.empty() ? 1 : w.shape.back();
  for (int64_t i = begin; i < end;) {
    int64_t row = i / width, column = i % width, n = std::min(width - column, end - i);
    const void* in[kMaxInputs];
    unsigned single = 0;
    for (int k = 0; k < w.count; ++k) {
      const Operand& o = w.operands[k];
      if (o.single) {
        in[k] = &o.value;
        single |= 1u << k;
        continue;
      }
      int64_t stride = o.strides.empty() ? 1 : o.strides.back();
      single |= static_cast<unsigned>(stride == 0) << k;
      in[k] = o.base + (offset_of_row(w, o, row) + column * stride) * o.bytes;
    }
    w.loop(in, out + (i - begin) * w.out_bytes, n, single, w.p);
    i += n;
  }
}

bool rows_are_plain(const Walk& w) {
  if (w.out_dtype != w.result) return false;
  bool dense = true;
  for (int k = 0; k < w.count; ++k) {
    const Operand& o = w.operands[k];
    if (o.single) continue;
    if (o.dtype != o.type) return false;
    int64_t stride = o.strides.empty() ? 1 : o.strides.back();
    // The loops of one input read a new element at every step.
    if (stride != 1 && (stride != 0 || w.count == 1)) return false;
    dense &= o.dense;
  }
  return dense || w.shape.back() >= kLongRow;
}

void run_part(const Walk& w, bool plain, int64_t begin, int64_t end, std::byte* out) {
  plain ? run_rows(w, begin, end, out) : run_gathered(w, begin, end, out);
}

// Results that no cache will hold when they are read do not pass through it.
void run_far(const Walk& w, int64_t begin, int64_t end) {
  alignas(64) std::byte results[kFarBytes];
  const int64_t most = kFarBytes / w.out_bytes;
  for (int64_t i = begin; i < end; i += most) {
    const int64_t n = std::min(most, end - i);
    run_rows(w, i, i + n, results);
    move_kernels.copy(w.out + i * w.out_bytes, results, n * w.out_bytes);
  }
}

bool is_far(const Walk& w) {
  if (!move_kernels.copy || w.total * w.out_bytes < kStreamBytes) return false;
  const auto in_place = [&](const Operand& o) { return o.base == w.out; };
  return std::none_of(w.operands, w.operands + w.count, in_place);
}

Operand operand(const Tensor& x, DType type, const Tensor& out) {
  Operand o;
  o.base = static_cast<const std::byte*>(x.raw());
  o.dtype = x.dtype();
  o.type = type;
  o.bytes = info(x.dtype()).bytes;
  o.single = x.numel() == 1;
  if (o.single) {
    if (o.dtype == type) {
      std::memcpy(&o.value, o.base, static_cast<size_t>(o.bytes));
    } else {
      convert_elements(o.dtype, o.base, type, &o.value, 1);
    }
    o.strides = Shape::filled(out.dim(), 0);
  } else {
    o.dense = x.shape() == out.shape() && x.is_contiguous();
    o.strides = broadcast_strides(x, out.shape());
  }
  return o;
}

Loop choose(const Loops& loops, DType compute, const Rule& rule, DType& type) {
  type = compute;
  switch (compute) {
    case DType::f64: return loops.f64;
    case DType::i32:
      if (loops.i32) return loops.i32;
      break;
    case DType::u8:
      if (loops.u8) return loops.u8;
      break;
    case DType::boolean:  // bytes of 0 and 1 are numbers too, where the result is one of them
      if (loops.u8 && (rule.to_bool || !rule.reals)) return loops.u8;
      break;
    default: break;
  }
  switch (compute_type(compute)) {
    case ComputeType::f32: return type = DType::f32, loops.f32;
    case ComputeType::f64: return type = DType::f64, loops.f64;
    case ComputeType::i64: return type = DType::i64, loops.i64;
    case ComputeType::c128: return type = DType::c128, loops.c128;
  }
  return nullptr;
}

}  // namespace

Plan plan(const char* name, Inputs in, const Rule& rule) {
  DType common = in.size() == 1 && !in[0].is_number() ? in[0].dtype() : promote(in, name);
  check_not_block(name, in[0]);
  if (in.size() == 2 && in[0].is_number() + in[1].is_number() > rule.numbers) {
    fail(name, ": ", in[1].is_number() ? "other" : "self", " is a number; it must be a tensor");
  }
  Plan result{common, common, common};
  switch (info(common).kind) {
    case DTypeKind::complex:
      if (!rule.complexes) fail(name, ": ", in[0], " is complex, which it is not defined for");
      if (rule.to_real) result.result = to_real(common);
      break;
    case DTypeKind::boolean:
    case DTypeKind::integer:
      if (rule.integers_as_reals) {
        result.compute = result.result = default_dtype();
      } else if (!rule.integers) {
        fail(name, ": ", in[0], " is not real; call .to(f32) first");
      } else if (common == DType::boolean && !rule.booleans) {
        fail(name, ": ", in[0], " is bool, which it is not defined for; call .to(i64) first");
      }
      break;
    default:
      if (!rule.reals) fail(name, ": ", in[0], " is real; it takes integers");
  }
  if (rule.to_bool) result.result = DType::boolean;
  return result;
}

Specs infer(const char* name, Inputs in, const Rule& rule) {
  DType dtype = plan(name, in, rule).result;
  Shape shape = in[0].shape();
  for (const Tensor& x : in.subspan(1)) {
    if (x.shape() != shape) shape = broadcast_shapes(shape, x.shape(), name);
  }
  return {{shape, dtype}};
}

void run(const char* name, Inputs in, const Tensor& out, const Loops& loops, const Rule& rule,
         const Parameters& parameters) {
  if (out.numel() == 0) return;
  DType type;
  const DType compute = plan(name, in, rule).compute;
  Loop loop = choose(loops, compute, rule, type);
  const DType types[kMaxInputs] = {type, type, type};
  Tensor wrapped[kMaxInputs];
  if (compute != type && (type == DType::i64 || rule.to_bool)) {
    // A single element of a wider dtype wraps around, or is rounded, in that of the others.
    for (size_t k = 0; k < in.size(); ++k) {
      const bool wider = in[k].dtype() != compute && in[k].dim() == 0 && !in[k].is_number();
      wrapped[k] = wider ? in[k].to(compute) : in[k];
    }
    in = {wrapped, in.size()};
  }
  run_loop(loop, in, types, out, rule.to_bool ? DType::boolean : type, parameters, loops.light);
}

void run_loop(Loop loop, Inputs in, const DType* types, const Tensor& out, DType result,
              const Parameters& parameters, bool light) {
  int64_t n = out.numel();
  if (n == 0) return;
  Walk w;
  w.loop = loop;
  w.shape = out.shape();
  w.count = static_cast<int>(in.size());
  w.out = static_cast<std::byte*>(out.raw());
  w.out_dtype = out.dtype();
  w.result = result;
  w.out_bytes = info(out.dtype()).bytes;
  w.total = n;
  w.p = parameters.p;
  for (int k = 0; k < w.count; ++k) w.operands[k] = operand(in[k], types[k], out);
  join_dimensions(w);
  mark_periodic(w);
  bool plain = rows_are_plain(w);
  if (n <= kGrain) return run_part(w, plain, 0, n, w.out);
  const bool far = light && plain && is_far(w);
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end, int) {
    far ? run_far(w, begin, end) : run_part(w, plain, begin, end, w.out + begin * w.out_bytes);
  });
}

}  // namespace tallow::elementwise

// Tensors as text: the layout of torch/_tensor_str.py, whose rules these are.
#include "tallow/print.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <ostream>

#include "tallow/autograd.h"
#include "tallow/error.h"

namespace tallow {
namespace {

std::mutex options_mutex;
PrintOptions options_in_use;

template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Of real dtypes, and of the parts of complex ones.
double real_value(const char* at, DType dtype) {
  if (dtype == DType::f64) return load<double>(at);
  float value;
  info(dtype).to_f32(at, &value, 1);
  return value;
}

std::string integer_text(const char* at, DType dtype) {
  switch (dtype) {
    case DType::boolean: return load<uint8_t>(at) ? "True" : "False";
    case DType::i8: return std::to_string(load<int8_t>(at));
    case DType::i16: return std::to_string(load<int16_t>(at));
    case DType::i32: return std::to_string(load<int32_t>(at));
    case DType::u8: return std::to_string(load<uint8_t>(at));
    case DType::u16: return std::to_string(load<uint16_t>(at));
    case DType::u32: return std::to_string(load<uint32_t>(at));
    case DType::u64: return std::to_string(load<uint64_t>(at));
    default: return std::to_string(load<int64_t>(at));
  }
}

std::string number(const char* format, int precision, double value) {
  if (std::isnan(value)) return "nan";  // never "-nan"
  char text[512];
  std::snprintf(text, sizeof text, format, precision, value);
  return text;
}

// How numbers of one tensor are written: in one width, and in one of three forms.
class NumberStyle {
 public:
  explicit NumberStyle(const PrintOptions& options) : options_(options) {}

  void see_text(const std::string& text) {
    width_ = std::max(width_, static_cast<int>(text.size()));
  }
  void see(double value) {
    if (!std::isfinite(value) || value == 0) return;
    values_.push_back(value);
  }
  void decide() {
    if (values_.empty()) return;
    double low = std::abs(values_[0]), high = low;
    for (double value : values_) {
      low = std::min(low, std::abs(value));
      high = std::max(high, std::abs(value));
      if (value != std::ceil(value)) whole_ = false;
    }
    scientific_ = options_.scientific.value_or(high / low > 1000 || high > 1e8 || low < 1e-4);
    for (double value : values_) {
      const int point = whole_ && !scientific_ ? 1 : 0;
      width_ = std::max(width_, static_cast<int>(plain(value).size()) + point);
    }
    values_ = {};
  }

  int width() const { return width_; }
  std::string padded(std::string text) const {
    if (static_cast<int>(text.size()) < width_) text.insert(0, width_ - text.size(), ' ');
    return text;
  }
  std::string format(double value) const {
    std::string text = plain(value);
    if (whole_ && !scientific_ && std::isfinite(value)) text += '.';
    return padded(std::move(text));
  }

 private:
  std::string plain(double value) const {
    if (scientific_) return number("%.*e", options_.precision, value);
    return number("%.*f", whole_ ? 0 : options_.precision, value);
  }

  const PrintOptions& options_;
  std::vector<double> values_;
  int width_ = 1;
  bool whole_ = true, scientific_ = false;
};

class Printer {
 public:
  Printer(const Tensor& x, const PrintOptions& options)
      : x_(x), options_(options), first_(options), second_(options) {
    summarize_ = x.numel() > options.threshold;
    see(static_cast<const char*>(x.raw()), 0);
    first_.decide();
    second_.decide();
  }

  std::string text(int indent) const { return text(static_cast<const char*>(x_.raw()), 0, indent); }

 private:
  bool shortened(int dim) const {
    return summarize_ && x_.shape()[dim] > 2 * int64_t{options_.edge_items};
  }
  int64_t step(int dim) const { return x_.strides()[dim] * info(x_.dtype()).bytes; }
  DType part() const { return to_real(x_.dtype()); }

  // Calls body(index) for the elements of a dimension that are shown.
  template <class F>
  void each_shown(int dim, F&& body) const {
    const int64_t size = x_.shape()[dim];
    const int64_t edge = shortened(dim) ? options_.edge_items : size;
    for (int64_t i = 0; i < edge; ++i) body(i);
    for (int64_t i = std::max(edge, size - edge); i < size; ++i) body(i);
  }

  void see(const char* at, int dim) {
    if (dim < x_.dim()) {
      each_shown(dim, [&](int64_t i) { see(at + i * step(dim), dim + 1); });
    } else if (is_complex(x_.dtype())) {
      first_.see(real_value(at, part()));
      second_.see(real_value(at + info(part()).bytes, part()));
    } else if (is_real(x_.dtype())) {
      first_.see(real_value(at, x_.dtype()));
    } else {
      first_.see_text(integer_text(at, x_.dtype()));
    }
  }

  std::string element(const char* at) const {
    if (is_real(x_.dtype())) return first_.format(real_value(at, x_.dtype()));
    if (!is_complex(x_.dtype())) return first_.padded(integer_text(at, x_.dtype()));
    std::string imaginary = second_.format(real_value(at + info(part()).bytes, part())) + "j";
    imaginary.erase(0, imaginary.find_first_not_of(' '));
    const bool has_sign = imaginary[0] == '-' || imaginary[0] == '+';
    return first_.format(real_value(at, part())) + (has_sign ? "" : "+") + imaginary;
  }

  std::string text(const char* at, int dim, int indent) const {
    if (dim == x_.dim()) return element(at);
    const bool is_row = dim + 1 == x_.dim();
    std::vector<std::string> items;
    each_shown(dim, [&](int64_t i) {
      if (shortened(dim) && static_cast<int>(items.size()) == options_.edge_items) {
        items.emplace_back(is_row ? " ..." : "...");
      }
      items.push_back(text(at + i * step(dim), dim + 1, indent + 1));
    });
    if (items.empty()) items.emplace_back("...");
    return is_row ? row(items, indent) : joined(items, x_.dim() - dim - 1, indent);
  }

  std::string row(const std::vector<std::string>& items, int indent) const {
    const int width = first_.width() + 2 + (is_complex(x_.dtype()) ? second_.width() + 1 : 0);
    const size_t in_line = std::max(1, (options_.line_width - indent) / width);
    std::string text = "[";
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0 && i % in_line == 0) {
        text += ",\n" + std::string(indent + 1, ' ');
      } else if (i > 0) {
        text += ", ";
      }
      text += items[i];
    }
    return text + "]";
  }

  static std::string joined(const std::vector<std::string>& items, int lines, int indent) {
    std::string text = "[" + items[0];
    for (size_t i = 1; i < items.size(); ++i) {
      text += "," + std::string(lines, '\n') + std::string(indent + 1, ' ') + items[i];
    }
    return text + "]";
  }

  const Tensor& x_;
  const PrintOptions& options_;
  NumberStyle first_, second_;  // of the numbers, or of their real and imaginary parts
  bool summarize_ = false;
};

const char* long_name(DType dtype) {
  switch (dtype) {
    case DType::f64: return "float64";
    case DType::f32: return "float32";
    case DType::f16: return "float16";
    case DType::bf16: return "bfloat16";
    case DType::f8_e4m3: return "float8_e4m3fn";
    case DType::f8_e5m2: return "float8_e5m2";
    case DType::f8_e4m3fnuz: return "float8_e4m3fnuz";
    case DType::f8_e5m2fnuz: return "float8_e5m2fnuz";
    case DType::f8_e8m0: return "float8_e8m0fnu";
    case DType::i8: return "int8";
    case DType::i16: return "int16";
    case DType::i32: return "int32";
    case DType::i64: return "int64";
    case DType::u8: return "uint8";
    case DType::u16: return "uint16";
    case DType::u32: return "uint32";
    case DType::u64: return "uint64";
    case DType::boolean: return "bool";
    case DType::c64: return "complex64";
    case DType::c128: return "complex128";
    default: return info(dtype).name;
  }
}

std::string size_text(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (shape.size() == 1 ? ",)" : ")");
}

// "add_scaled" -> "AddScaledBackward0"
std::string node_name(const std::string& op) {
  if (op.ends_with("Backward")) return op;
  std::string name;
  bool upper = true;
  for (char c : op) {
    if (c == '_') {
      upper = true;
      continue;
    }
    name += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return name + "Backward0";
}

std::vector<std::string> suffixes(const Tensor& x) {
  std::vector<std::string> list;
  const DType dtype = x.dtype(), usual = default_dtype();
  if (x.device() != cpu_device) list.push_back("device='" + to_string(x.device()) + "'");
  if (x.numel() == 0) {
    if (x.dim() != 1) list.push_back("size=" + size_text(x.shape()));
    if (dtype != usual) list.push_back(std::string("dtype=tallow.") + long_name(dtype));
  } else if (dtype != usual && dtype != to_complex(usual) && dtype != DType::i64 &&
             dtype != DType::boolean) {
    list.push_back(std::string("dtype=tallow.") + long_name(dtype));
  }
  if (std::string op = x.grad_fn(); !op.empty()) {
    list.push_back("grad_fn=<" + node_name(op) + ">");
  } else if (x.requires_grad()) {
    list.emplace_back("requires_grad=True");
  }
  return list;
}

std::string elements_text(const Tensor& x, const PrintOptions& options, int indent) {
  if (x.numel() == 0) return "[]";
  NoGrad no_grad;
  return Printer(is_block(x.dtype()) ? x.to(DType::f32) : x.detach(), options).text(indent);
}

}  // namespace

PrintOptions print_options() {
  std::lock_guard lock(options_mutex);
  return options_in_use;
}
void set_print_options(const PrintOptions& options) {
  std::lock_guard lock(options_mutex);
  options_in_use = options;
}

std::string repr(const Tensor& x, const PrintOptions& options, const std::string& name) {
  if (!x.defined()) return name + "(undefined)";
  const int indent = static_cast<int>(name.size()) + 1;
  std::string text = name + "(" + elements_text(x, options, indent);
  int line = static_cast<int>(text.size()) + 1;
  if (const size_t newline = text.rfind('\n'); newline != std::string::npos) {
    line -= static_cast<int>(newline);
  } else {
    line += 1;
  }
  for (const std::string& suffix : suffixes(x)) {
    const int length = static_cast<int>(suffix.size());
    if (line + length + 2 > options.line_width) {
      text += ",\n" + std::string(indent, ' ') + suffix;
      line = indent + length;
    } else {
      text += ", " + suffix;
      line += length + 2;
    }
  }
  return text + ")";
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << repr(tensor); }

}  // namespace tallow

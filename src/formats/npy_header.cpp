// A reader of the Python literal that NumPy writes.
#include "formats/npy_header.h"

#include <algorithm>

#include "formats/byte_reader.h"
#include "tallow/error.h"

namespace tallow {
namespace {

struct Descr {
  const char* name;
  DType dtype;
};
constexpr Descr kDescrs[] = {
    {"<f8", DType::f64}, {"<f4", DType::f32},   {"<f2", DType::f16}, {"|i1", DType::i8},
    {"<i2", DType::i16}, {"<i4", DType::i32},   {"<i8", DType::i64}, {"|u1", DType::u8},
    {"<u2", DType::u16}, {"<u4", DType::u32},   {"<u8", DType::u64}, {"|b1", DType::boolean},
    {"<c8", DType::c64}, {"<c16", DType::c128},
};

class DictReader {
 public:
  DictReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader run() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = read_string();
      expect(':');
      if (key == "descr") {
        once(kDescr, key);
        read_descr();
      } else if (key == "fortran_order") {
        once(kOrder, key);
        header_.fortran_order = read_boolean();
      } else if (key == "shape") {
        once(kShape, key);
        read_shape();
      } else {
        bad("the key ", quoted(key), " is unknown");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) bad("text follows the closing '}'");
    if (seen_ != (kDescr | kOrder | kShape)) bad("descr, fortran_order or shape is missing");
    return header_;
  }

 private:
  enum : unsigned { kDescr = 1, kOrder = 2, kShape = 4 };

  template <class... T>
  [[noreturn]] void bad(const T&... reason) const {
    fail(where_, "in the header at ", at_, ": ", reason...);
  }
  void once(unsigned which, std::string_view key) {
    if (seen_ & which) bad("the key ", quoted(key), " occurs twice");
    seen_ |= which;
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) bad("expected '", c, "'");
  }
  std::string_view read_string() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') bad("expected a string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == text_.npos) bad("a string has no end");
    const auto result = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return result;
  }
  /// A byte order and a type. NumPy takes '=' for the machine's order, and any sign where the order
  /// does not matter.
  void read_descr() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[') {
      bad("structured arrays are not supported; save each field as an array of its own");
    }
    const std::string_view descr = read_string();
    const char order = descr.empty() ? '\0' : descr[0];
    const std::string_view type = descr.substr(std::min<size_t>(1, descr.size()));
    for (const Descr& row : kDescrs) {
      const std::string_view name = row.name;
      if (type != name.substr(1)) continue;
      const bool ordered = name[0] == '<';
      if (order != '<' && order != '=' && order != (ordered ? '>' : '|') &&
          !(order == '>' && !ordered)) {
        continue;
      }
      header_.dtype = row.dtype;
      header_.swapped = ordered && order == '>';
      return;
    }
    bad("the dtype ", quoted(descr), " is not supported", reason_of(type));
  }
  static const char* reason_of(std::string_view type) {
    switch (type.empty() ? '\0' : type[0]) {
      case 'O': return ": it is pickled objects; save an array of numbers";
      case 'V':
        return ": it is bytes without a meaning, which bfloat16 and float8 are saved as; "
               "save them as another type";
      case 'S':
      case 'U': return ": it is text; save an array of numbers";
      case 'M':
      case 'm': return ": it is times; save an array of numbers";
      default: return "; save the array as one of NumPy's number types up to 64 bits";
    }
  }
  bool read_boolean() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    bad("fortran_order is neither True nor False");
  }
  void read_shape() {
    expect('(');
    while (!accept(')')) {
      if (header_.shape.size() == Shape::kMaxDims) {
        bad("more than ", Shape::kMaxDims, " dimensions");
      }
      header_.shape.push_back(read_size());
      if (!accept(',')) {
        if (header_.shape.size() == 1) bad("the shape is not a tuple");
        expect(')');
        break;
      }
    }
  }
  int64_t read_size() {
    skip_space();
    const size_t begin = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value)) {
        bad("a dimension overflows 64 bits");
      }
    }
    const bool leading_zero = at_ - begin > 1 && text_[begin] == '0';
    if (at_ > begin && at_ < text_.size() && text_[at_] == 'L') ++at_;  // as Python 2 wrote it
    if (at_ == begin || leading_zero) bad("a dimension is not an integer of 0 or more");
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
  unsigned seen_ = 0;
  NpyHeader header_;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& where) {
  return DictReader(text, where).run();
}

const char* npy_descr(DType dtype) {
  for (const Descr& row : kDescrs) {
    if (row.dtype == dtype) return row.name;
  }
  return nullptr;
}

}  // namespace tallow

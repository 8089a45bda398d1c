// What Python programs save: tensors in nested containers of plain values.
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tallow/tensor.h"

namespace tallow {

/// A value of Python's: none, a bool, a number, text, bytes, a tensor, a dtype, a device, or a
/// container of such. Copies share their container, as in Python.
class Object {
 public:
  using Items = std::vector<Object>;
  using Entries = std::vector<std::pair<Object, Object>>;

  enum class SequenceKind : uint8_t { list, tuple, set, frozenset, size };
  struct Sequence {
    SequenceKind kind = SequenceKind::list;
    uint8_t mark = 0;  ///< for those who walk over shared containers
    Items items;
  };
  struct Dict {
    bool ordered = false;  ///< a collections.OrderedDict
    uint8_t mark = 0;
    Entries entries;  ///< in the order of insertion; keys are unique
    const Object* find(std::string_view key) const;
  };
  struct Bytes {
    std::shared_ptr<const std::string> value;
    bool is_mutable = false;  ///< a bytearray
  };
  /// An integer past 64 bits, as little-endian two's complement.
  struct BigInteger {
    std::shared_ptr<const std::string> value;
  };
  struct DeviceName {
    std::string name;
  };
  /// What readers put together on the way; none is left in what they return.
  struct Internal {
    virtual ~Internal() = default;
  };

  Object() = default;
  Object(bool value) : value_(value) {}
  Object(int64_t value) : value_(value) {}
  Object(double value) : value_(value) {}
  Object(std::complex<double> value) : value_(value) {}
  Object(std::string text) : value_(std::make_shared<const std::string>(std::move(text))) {}
  Object(const char* text) : Object(std::string(text)) {}
  Object(Tensor tensor) : value_(std::move(tensor)) {}
  Object(DType dtype) : value_(dtype) {}
  Object(DeviceName device) : value_(std::move(device)) {}
  Object(Bytes bytes) : value_(std::move(bytes)) {}
  Object(BigInteger integer) : value_(std::move(integer)) {}
  Object(std::shared_ptr<Sequence> sequence) : value_(std::move(sequence)) {}
  Object(std::shared_ptr<Dict> dict) : value_(std::move(dict)) {}
  Object(std::shared_ptr<Internal> internal) : value_(std::move(internal)) {}
  static Object sequence(SequenceKind kind, Items items = {});
  static Object dict(Entries entries = {}, bool ordered = false);

  bool is_none() const { return std::holds_alternative<std::monostate>(value_); }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&value_);
  }
  /// The text, or null.
  const std::string* text() const {
    const auto* found = as<std::shared_ptr<const std::string>>();
    return found ? found->get() : nullptr;
  }
  const int64_t* integer() const { return as<int64_t>(); }
  const Tensor* tensor() const { return as<Tensor>(); }
  Sequence* items() const {
    const auto* found = as<std::shared_ptr<Sequence>>();
    return found ? found->get() : nullptr;
  }
  Dict* members() const {
    const auto* found = as<std::shared_ptr<Dict>>();
    return found ? found->get() : nullptr;
  }
  Internal* internal() const {
    const auto* found = as<std::shared_ptr<Internal>>();
    return found ? found->get() : nullptr;
  }
  /// "a list", "an integer", for messages.
  const char* kind_name() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::complex<double>,
               std::shared_ptr<const std::string>, Tensor, DType, DeviceName, Bytes, BigInteger,
               std::shared_ptr<Sequence>, std::shared_ptr<Dict>, std::shared_ptr<Internal>>
      value_;
};

}  // namespace tallow

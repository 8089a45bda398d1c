// A checked reader of protocol buffers: fields one after the other, nothing copied.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "tallow/error.h"

namespace tallow::text {

class ProtoReader {
 public:
  /// `what` begins every error message.
  ProtoReader(std::string_view bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  /// Moves to the next field; false at the end.
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    field_ = static_cast<uint32_t>(tag >> 3);
    wire_ = static_cast<uint32_t>(tag & 7);
    if (tag >> 32 || field_ == 0) bad("a malformed tag");
    switch (wire_) {
      case 0: value_ = varint(); break;
      case 1: view_ = take(8); break;
      case 2: view_ = take(varint()); break;
      case 5: view_ = take(4); break;
      default: bad("an unknown wire type");
    }
    return true;
  }
  uint32_t field() const { return field_; }
  uint64_t integer() const {
    if (wire_ != 0) bad("a field that is no integer");
    return value_;
  }
  float real() const {
    if (wire_ != 5) bad("a field that is no f32");
    float value = 0;
    std::memcpy(&value, view_.data(), 4);
    return value;
  }
  std::string_view bytes() const {
    if (wire_ != 2) bad("a field that is no string");
    return view_;
  }

 private:
  [[noreturn]] void bad(std::string_view reason) const {
    fail(what_, ": offset ", at_, ": ", reason);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) bad("the data ends inside a number");
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
    bad("a number of more than 64 bits");
  }
  std::string_view take(uint64_t n) {
    if (n > bytes_.size() - at_) bad("a field goes past the end");
    at_ += static_cast<size_t>(n);
    return bytes_.substr(at_ - static_cast<size_t>(n), static_cast<size_t>(n));
  }

  std::string_view bytes_, what_, view_;
  size_t at_ = 0;
  uint64_t value_ = 0;
  uint32_t field_ = 0, wire_ = 0;
};

}  // namespace tallow::text

// What each fuzz target defines: libFuzzer's entry point, and where good files begin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// Reads the bytes as one input; anything but an Error is a finding.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

/// Good inputs that mutation begins from, for the driver that stands in for libFuzzer.
std::vector<std::string> fuzz_seeds();

/// Reads every byte of every tensor of an opened file.
template <class File>
void fuzz_read(const File& file) {
  for (const auto& t : file.tensors()) {
    if (!t.dtype) continue;
    const auto tensor = file.get(t.name);
    const auto* bytes = static_cast<const volatile uint8_t*>(tensor.raw());
    for (int64_t i = 0; i < tensor.nbytes(); ++i) (void)bytes[i];
  }
}

inline std::span<const std::byte> fuzz_bytes(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

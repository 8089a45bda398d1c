// The one wrapper of zlib: raw deflate streams and CRC-32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_bytes.h"

namespace tallow {

/// The most bytes that one byte of a deflate stream can become.
constexpr uint64_t kMaxInflation = 1032;

/// Continues `crc` (0 to begin) over `bytes`; large pieces are divided among threads.
uint32_t crc32_of(ByteSpan bytes, uint32_t crc = 0);

/// Expands a raw deflate stream that must fill `out` exactly. Errors begin with `what`.
/// Fewer bytes than the stream has are its beginning, where `prefix` asks for no more.
void inflate_into(ByteSpan compressed, std::span<std::byte> out, const std::string& what,
                  bool prefix = false);

/// Compresses what it is given, piece by piece, into memory.
class Deflater {
 public:
  Deflater();
  ~Deflater();
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  void add(ByteSpan bytes);
  /// Ends the stream and gives all of it.
  std::vector<std::byte> finish();

 private:
  void run(ByteSpan bytes, int flush);
  struct Stream;
  Stream* stream_;
  std::vector<std::byte> out_;
};

}  // namespace tallow

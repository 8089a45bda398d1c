#include "formats/zip/deflate.h"

#include <algorithm>

#include <zlib.h>

#include "tallow/error.h"
#include "tallow/parallel.h"

namespace tallow {
namespace {

constexpr size_t kStep = size_t{1} << 30;  // zlib counts with 32 bits

z_const Bytef* input_of(ByteSpan bytes) {
  return reinterpret_cast<z_const Bytef*>(const_cast<std::byte*>(bytes.data()));
}

uint32_t crc_of_piece(ByteSpan bytes, uint32_t crc) {
  return static_cast<uint32_t>(::crc32_z(crc, input_of(bytes), bytes.size()));
}

}  // namespace

uint32_t crc32_of(ByteSpan bytes, uint32_t crc) {
  constexpr size_t kPiece = size_t{4} << 20;
  if (bytes.size() < 2 * kPiece) return crc_of_piece(bytes, crc);
  std::vector<uint32_t> parts((bytes.size() + kPiece - 1) / kPiece);
  const auto piece = [&](size_t i) {
    return bytes.subspan(i * kPiece, std::min(kPiece, bytes.size() - i * kPiece));
  };
  parallel_for(static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      parts[i] = crc_of_piece(piece(i), 0);
    }
  });
  for (size_t i = 0; i < parts.size(); ++i) {
    crc = static_cast<uint32_t>(
        ::crc32_combine(crc, parts[i], static_cast<z_off_t>(piece(i).size())));
  }
  return crc;
}

void inflate_into(ByteSpan compressed, std::span<std::byte> out, const std::string& what,
                  bool prefix) {
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail(what, ": zlib has no memory");
  size_t read = 0, written = 0;
  int status = Z_OK;
  while (status == Z_OK && !(prefix && written == out.size())) {
    const auto in = std::min(kStep, compressed.size() - read);
    const auto room = std::min(kStep, out.size() - written);
    stream.next_in = input_of(compressed.subspan(read));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = static_cast<uInt>(room);
    status = ::inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    written += room - stream.avail_out;
  }
  ::inflateEnd(&stream);
  if (prefix && written == out.size()) return;
  if (status != Z_STREAM_END || written != out.size()) {
    fail(what, ": the compressed data ",
         status == Z_DATA_ERROR || status == Z_NEED_DICT ? "is damaged" : "has another size", ": ",
         written, " of ", out.size(), " bytes were expanded");
  }
}

struct Deflater::Stream : z_stream {};

Deflater::Deflater() : stream_(new Stream{}) {
  const int status =
      ::deflateInit2(stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  if (status != Z_OK) {
    delete stream_;
    fail("deflate: zlib has no memory");
  }
}

Deflater::~Deflater() {
  ::deflateEnd(stream_);
  delete stream_;
}

void Deflater::run(ByteSpan bytes, int flush) {
  constexpr size_t kRoom = size_t{1} << 18;
  do {
    const ByteSpan part = bytes.first(std::min(bytes.size(), kStep));
    stream_->next_in = input_of(part);
    stream_->avail_in = static_cast<uInt>(part.size());
    const size_t used = out_.size();
    out_.resize(used + kRoom);
    stream_->next_out = reinterpret_cast<Bytef*>(out_.data() + used);
    stream_->avail_out = kRoom;
    ::deflate(stream_, flush);
    out_.resize(used + kRoom - stream_->avail_out);
    bytes = bytes.subspan(part.size() - stream_->avail_in);
  } while (!bytes.empty() || stream_->avail_out == 0);
}

void Deflater::add(ByteSpan bytes) { run(bytes, Z_NO_FLUSH); }

std::vector<std::byte> Deflater::finish() {
  run({}, Z_FINISH);
  return std::move(out_);
}

}  // namespace tallow

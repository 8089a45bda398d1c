// JPEG, by libjpeg-turbo: grey, YCbCr, CMYK and YCCK, baseline and progressive (ITU-T T.81).
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs it

#include <jpeglib.h>

#include "media/image/formats.h"
#include "tallow/error.h"

namespace tallow::image {
namespace {

constexpr int kMostScans = 100;
constexpr int64_t kBlock = 64;       // pixels that a file spends a bit on at least
constexpr int64_t kArithmetic = 64;  // how many times more where bits are arithmetic

/// libjpeg's state, which is left by longjmp: no object with a destructor lives below start().
struct Reader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = {};
};

Reader& of(j_common_ptr info) { return *static_cast<Reader*>(info->client_data); }

[[noreturn]] void stop(j_common_ptr info) {
  Reader& reader = of(info);
  (*info->err->format_message)(info, reader.message);
  std::longjmp(reader.escape, 1);
}

[[noreturn]] void stop_with(Reader& reader, const char* reason) {
  std::snprintf(reader.message, sizeof reader.message, "%s", reason);
  std::longjmp(reader.escape, 1);
}

boolean at_end(j_decompress_ptr info) {
  stop_with(of(reinterpret_cast<j_common_ptr>(info)), "the file is truncated");
}

void skip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<unsigned long>(count) > info->src->bytes_in_buffer) at_end(info);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<size_t>(count);
}

void count_scans(j_common_ptr info) {
  const auto* decompress = reinterpret_cast<j_decompress_ptr>(info);
  if (decompress->input_scan_number > kMostScans) stop_with(of(info), "has over 100 scans");
}

void set_up(Reader& reader, Bytes bytes) {
  reader.info.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = stop;
  reader.errors.output_message = [](j_common_ptr) {};
  reader.info.client_data = &reader;
  jpeg_create_decompress(&reader.info);
  reader.source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
  reader.source.bytes_in_buffer = bytes.size();
  reader.source.init_source = [](j_decompress_ptr) {};
  reader.source.fill_input_buffer = at_end;
  reader.source.skip_input_data = skip;
  reader.source.resync_to_restart = jpeg_resync_to_restart;
  reader.source.term_source = [](j_decompress_ptr) {};
  reader.info.src = &reader.source;
  reader.progress.progress_monitor = count_scans;
  reader.info.progress = &reader.progress;
  jpeg_save_markers(&reader.info, JPEG_APP0 + 1, 0xFFFF);
}

/// Reads the header; false for an error, whose message is then in the reader.
bool read_header(Reader& reader) {
  if (setjmp(reader.escape) != 0) return false;
  jpeg_read_header(&reader.info, TRUE);
  if (reader.info.num_components == 2) stop_with(reader, "has two colours");
  reader.info.out_color_space = reader.info.num_components == 1   ? JCS_GRAYSCALE
                                : reader.info.num_components == 3 ? JCS_RGB
                                                                  : JCS_CMYK;
  return true;
}

/// Reads all rows, `width` * colours each.
bool read_rows(Reader& reader, uint8_t* rows, size_t stride) {
  if (setjmp(reader.escape) != 0) return false;
  jpeg_start_decompress(&reader.info);
  while (reader.info.output_scanline < reader.info.output_height) {
    JSAMPROW row = rows + reader.info.output_scanline * stride;
    jpeg_read_scanlines(&reader.info, &row, 1);
  }
  jpeg_finish_decompress(&reader.info);
  return true;
}

/// EXIF's word goes before XMP's.
int orientation_of(const jpeg_decompress_struct& info) {
  using namespace std::string_view_literals;
  int xmp = 0;
  for (auto* marker = info.marker_list; marker; marker = marker->next) {
    const Bytes data = std::as_bytes(std::span(marker->data, marker->data_length));
    const std::string_view text = as_text(data);
    if (text.starts_with("Exif\0\0"sv)) {
      if (const int found = exif_orientation(data.subspan(6))) return found;
    } else if (text.starts_with("http://ns.adobe.com/xap/1.0/\0"sv) && xmp == 0) {
      xmp = xmp_orientation(text);
    }
  }
  return xmp;
}

uint8_t scaled(int a, int b) {
  const int product = a * b + 128;
  return static_cast<uint8_t>(((product >> 8) + product) >> 8);
}

/// Adobe's inks, of which 255 is none.
void inks_to_rgb(const uint8_t* inks, uint8_t* rgb, int64_t count) {
  for (int64_t i = 0; i < count; ++i, inks += 4, rgb += 3) {
    const int paper = inks[3];
    for (int c = 0; c < 3; ++c) {
      const int left = paper - scaled(255 - inks[c], paper);
      rgb[c] = static_cast<uint8_t>(left < 0 ? 0 : left);
    }
  }
}

Tensor to_rgb(const Tensor& read, int64_t colours) {
  if (colours == 3) return read;
  const int64_t height = read.size(0), width = read.size(1);
  Tensor out = Tensor::empty({height, width, 3}, DType::u8);
  const uint8_t* from = read.data<uint8_t>();
  uint8_t* to = out.data<uint8_t>();
  if (colours == 4) {
    inks_to_rgb(from, to, height * width);
  } else {
    for (int64_t i = 0; i < height * width; ++i)
      to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
  }
  return out;
}

}  // namespace

Decoded decode_jpeg(Bytes bytes, const std::string& what) {
  Reader reader;
  set_up(reader, bytes);
  struct Closer {
    Reader& reader;
    ~Closer() { jpeg_destroy_decompress(&reader.info); }
  } closer{reader};
  const auto refuse = [&] {
    const size_t offset = bytes.size() - reader.source.bytes_in_buffer;
    fail(what, ": JPEG: offset ", offset, ": ", static_cast<const char*>(reader.message));
  };

  if (!read_header(reader)) refuse();
  const int64_t height = reader.info.image_height, width = reader.info.image_width;
  check_size(height, width, bytes.size(), what);
  const int64_t most = kBlock * 8 * (reader.info.arith_code ? kArithmetic : 1);
  if (height * width / most > std::ssize(bytes)) {
    fail(what, ": JPEG: ", width, " x ", height, " pixels cannot be in ", bytes.size(),
         " bytes; the file is truncated");
  }
  const int64_t colours = reader.info.num_components;
  const int orientation = orientation_of(reader.info);
  const Tensor read = Tensor::empty({height, width, colours}, DType::u8);
  if (!read_rows(reader, read.data<uint8_t>(), static_cast<size_t>(width * colours))) refuse();
  return {to_rgb(read, colours), orientation};
}

}  // namespace tallow::image

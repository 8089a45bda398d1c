// The header of a .npy file: a Python dict with descr, fortran_order and shape.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tallow/buffer.h"
#include "tallow/tensor.h"

namespace tallow {

class ByteReader;
class ZipWriter;

struct NpyHeader {
  DType dtype = DType::f32;
  bool swapped = false;  ///< the file's byte order is not the machine's
  bool fortran_order = false;
  Shape shape;
  int64_t bytes = 0;  ///< of the data
};

/// Parses the dict. `where` (file and offset) begins every error message.
NpyHeader parse_npy_header(std::string_view text, const std::string& where);

/// Reads what is before the data, of which `size` bytes of file leave the rest. `what` is the file.
NpyHeader read_npy_header(ByteReader& reader, uint64_t size, const std::string& what);

/// NumPy's name of a dtype ("<f4"), or null where it has none.
const char* npy_descr(DType dtype);

/// The text before the data of an array in C order, a multiple of 64 bytes. Throws Error, beginning
/// with `what`, for a dtype that NumPy lacks.
std::string make_npy_header(const Tensor& tensor, const std::string& what);

/// The array of a buffer that holds a whole .npy file; `what` begins error messages.
Tensor parse_npy(std::shared_ptr<Buffer> buffer, const std::string& what);

/// Adds an array to a .npz archive at `path`.
void add_npy(ZipWriter& zip, const std::string& name, const Tensor& tensor, const std::string& path,
             bool compressed);

}  // namespace tallow

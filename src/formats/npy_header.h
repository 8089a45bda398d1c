// The header of a .npy file: a Python dict with descr, fortran_order and shape.
#pragma once

#include <string>
#include <string_view>

#include "tallow/dtype.h"
#include "tallow/shape.h"

namespace tallow {

struct NpyHeader {
  DType dtype = DType::f32;
  bool fortran_order = false;
  Shape shape;
};

/// Parses the dict. `where` (file and offset) begins every error message.
NpyHeader parse_npy_header(std::string_view text, const std::string& where);

/// NumPy's name of a dtype ("<f4"), or null where it has none.
const char* npy_descr(DType dtype);

}  // namespace tallow

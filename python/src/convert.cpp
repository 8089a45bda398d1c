// tallow.convert and tallow.quantize_model: models from one format into another.
#include "tallow/convert.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "objects.h"
#include "tallow/quantize.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tallow::python {
namespace {

void convert_files(const std::string& source, const std::string& target, nb::handle dtype,
                   int64_t max_shard_bytes) {
  ConvertOptions options;
  if (!dtype.is_none()) options.dtype = dtype_of(dtype.ptr());
  options.max_shard_bytes = max_shard_bytes;
  const nb::gil_scoped_release released;
  convert(source, target, options);
}

void quantize_files(const std::string& source, const std::string& target, const std::string& mix,
                    const std::string& imatrix, bool pure, bool requantize) {
  QuantizeOptions options;
  options.mix = mix;
  options.imatrix = imatrix;
  options.pure = pure;
  options.requantize = requantize;
  quantize_model(source, target, options);
}

}  // namespace

void add_converters(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  m.def("_convert", convert_files, "source"_a, "target"_a, "dtype"_a.none(), "max_shard_bytes"_a);
  m.def("_quantize_model", quantize_files, nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace tallow::python

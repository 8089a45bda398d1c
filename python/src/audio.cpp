// Sounds: tallow.audio.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "objects.h"
#include "tallow/audio.h"

namespace nb = nanobind;

namespace tallow::python {
namespace {

nb::object to_python(Audio audio) {
  return nb::make_tuple(nb::steal(wrap(std::move(audio.samples))), audio.rate);
}

}  // namespace

void add_audio(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  m.def("_read_audio", [](const std::string& path) {
    Audio audio;
    {
      nb::gil_scoped_release no_gil;
      audio = read_audio(path);
    }
    return to_python(std::move(audio));
  });
  m.def("_resample_audio", [](nb::handle samples, int64_t from, int64_t to) {
    const Tensor x = checked_tensor(samples.ptr());
    Tensor result;
    {
      nb::gil_scoped_release no_gil;
      result = resample_audio(x, from, to);
    }
    return nb::steal(wrap(std::move(result)));
  });
  m.def("_decode_audio", [](const nb::bytes& bytes, const std::string& what) {
    return to_python(decode_audio({bytes.c_str(), bytes.size()}, what));
  });
}

}  // namespace tallow::python

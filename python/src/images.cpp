// Images: tallow.image, whose Python half is python/tallow/image.py.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "objects.h"
#include "tallow/error.h"
#include "tallow/image.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tallow::python {
namespace {

/// A tensor that `make` makes while other Python threads run.
template <class Make>
nb::object made(const Make& make) {
  Tensor result;
  {
    nb::gil_scoped_release no_gil;
    result = make();
  }
  return nb::steal(wrap(std::move(result)));
}

}  // namespace

void add_images(PyObject* module) {
  auto m = nb::borrow<nb::module_>(module);
  m.def("_read_image",
        [](const std::string& path) { return made([&] { return read_image(path); }); });
  m.def("_decode_image", [](const nb::bytes& bytes) {
    return made([&] { return decode_image({bytes.c_str(), bytes.size()}, "image"); });
  });
  m.def("_read_frames", [](const std::string& path, std::optional<int64_t> most, double fps) {
    if (most && *most < 1) fail("read_frames: ", *most, " frames are too few");
    Frames read;
    {
      nb::gil_scoped_release no_gil;
      read = read_frames(path, {.most = most.value_or(0), .rate = fps});
    }
    nb::list frames;
    for (Tensor& frame : read.frames) frames.append(nb::steal(wrap(std::move(frame))));
    return nb::make_tuple(frames, read.seconds);
  });
  m.def("_resize_image",
        [](nb::handle image, int64_t height, int64_t width, const std::string& filter) {
          const Tensor from = checked_tensor(image.ptr());
          return made([&] { return resize_image(from, height, width, filter); });
        });
}

}  // namespace tallow::python

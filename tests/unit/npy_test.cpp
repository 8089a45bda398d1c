// npy: arrays come back as they were written, and each known fault is a clear error.
#include <doctest/doctest.h>

#include <cstdio>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include "format_helpers.h"
#include "tallow/npy.h"

using namespace format_helpers;
using tallow::Shape;
using tallow::Tensor;

namespace {

std::string file_of(std::string_view dict, std::string_view data, char version = 1) {
  Bytes b;
  b.raw("\x93NUMPY").put(version).put('\0');
  if (version == 1) {
    b.put(static_cast<uint16_t>(dict.size()));
  } else {
    b.put(static_cast<uint32_t>(dict.size()));
  }
  return b.raw(dict).raw(data).text;
}

Tensor load(std::string_view text) { return tallow::load_npy(as_bytes(text), "t"); }

std::string error(std::string_view dict, std::string_view data = "") {
  return error_of([&] { load(file_of(dict, data)); });
}

std::string dict(std::string_view descr, std::string_view shape, std::string_view order = "False") {
  return tallow::str("{'descr': '", descr, "', 'fortran_order': ", order, ", 'shape': ", shape,
                     ", }\n");
}

const std::string kFloats = [] {
  Bytes b;
  for (int i = 0; i < 6; ++i) b.put(static_cast<float>(i));
  return b.text;
}();

}  // namespace

TEST_CASE("npy: C and Fortran order and every version are read") {
  for (const char version : {1, 2, 3}) {
    const Tensor c = load(file_of(dict("<f4", "(2, 3)"), kFloats, version));
    CHECK(c.shape() == Shape{2, 3});
    CHECK(c.data<float>()[5] == 5.f);
  }
  const Tensor f = load(file_of(dict("<f4", "(2, 3)", "True"), kFloats));
  CHECK(f.shape() == Shape{2, 3});
  CHECK(f.strides() == Shape{1, 2});
  CHECK(load(file_of(dict("<f4", "()"), kFloats.substr(0, 4))).dim() == 0);
  CHECK(load(file_of(dict("<f4", "(0, 3)"), "")).numel() == 0);
  CHECK(load(file_of(dict("<f4", "(6,)"), kFloats)).numel() == 6);
}

TEST_CASE("npy: a file cut at any byte is an error, and no flipped bit does harm") {
  const std::string file = file_of(dict("<f4", "(2, 3)"), kFloats);
  check_prefixes(file, [](std::string_view text) { load(text); });
  check_bit_flips(file, [](std::string_view text) { load(text); });
}

TEST_CASE("npy: faulty headers are refused") {
  CHECK(contains(error(dict("<f4", "(2, 2)"), kFloats), "takes 16 bytes, but 24 are left"));
  CHECK(contains(error(dict("<f4", "(7,)"), kFloats), "takes 28 bytes, but 24 are left"));
  CHECK(contains(error(dict("|O", "(6,)"), kFloats), "is not supported: it is pickled objects"));
  CHECK(contains(error(dict("|V2", "(12,)"), kFloats), "is not supported: it is bytes without"));
  CHECK(contains(error(dict("<U6", "(1,)"), kFloats), "is not supported: it is text"));
  CHECK(contains(error(dict("<M8[s]", "(3,)"), kFloats), "is not supported: it is times"));
  CHECK(contains(error(dict("<f16", "(1,)"), kFloats), "is not supported; save the array as one"));
  CHECK(contains(error("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }"),
                 "structured arrays"));
  CHECK(contains(error(dict("<f4", "(-6,)"), kFloats), "not an integer of 0 or more"));
  CHECK(contains(error(dict("<f4", "(99999999999999999999,)"), kFloats), "overflows"));
  CHECK(contains(error(dict("<f4", "(4611686018427387904, 4)"), kFloats), "overflows"));
  CHECK(contains(error(dict("<f4", "(1,1,1,1,1,1,1,1,1,1,1,1,6)"), kFloats),
                 "more than 12 dimensions"));
  CHECK(contains(error("{'descr': '<f4'}"), "is missing"));
  CHECK(contains(error("{'descr': '<f4', 'descr': '<f4'}"), "occurs twice"));
  CHECK(contains(error("{'evil': 1}"), "is unknown"));
  const std::string greedy = Bytes().raw("\x93NUMPY").put('\2').put('\0').put(UINT32_MAX).text;
  CHECK(contains(error_of([&] { load(greedy); }), "header length"));
}

TEST_CASE("npy: a tensor is written whole or not at all") {
  const std::string path = "/tmp/tallow_npy_test_" + std::to_string(::getpid()) + ".npy";
  const Tensor f = load(file_of(dict("<f4", "(2, 3)", "True"), kFloats));
  tallow::save_npy(path, f);
  const Tensor back = tallow::load_npy(path);
  CHECK(back.is_contiguous());
  CHECK(back.data<float>()[1] == 2.f);  // f[0, 1] lies at 2 in Fortran's order
  CHECK(contains(error_of([&] { tallow::save_npy(path, Tensor::empty({2}, tallow::DType::bf16)); }),
                 "NumPy has no bf16"));
  CHECK(tallow::load_npy(path).numel() == 6);
  ::unlink(path.c_str());
  CHECK(contains(error_of([&] { tallow::save_npy("/nonexistent/x.npy", f); }),
                 "cannot create: No such file"));
  CHECK(contains(error_of([&] { tallow::save_npy("/tmp", f); }), "is a folder"));
  CHECK(contains(error_of([&] { tallow::save_npy("/dev/full", f); }), "No space left"));
  struct stat status;
  REQUIRE(::stat("/dev/full", &status) == 0);
  CHECK(S_ISCHR(status.st_mode));
}

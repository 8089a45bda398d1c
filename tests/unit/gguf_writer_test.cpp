// What GgufWriter writes, GgufFile reads; and what it refuses.
#include <doctest/doctest.h>

#include <cstdio>

#include <unistd.h>

#include "format_helpers.h"
#include "tallow/gguf.h"

using namespace tallow;
using format_helpers::contains;
using format_helpers::error_of;

namespace {

/// A path in the folder of temporary files, and the file that will be there.
struct Scratch {
  std::string path = "/tmp/tallow_gguf_writer_" + std::to_string(::getpid()) + ".gguf";
  ~Scratch() { ::unlink(path.c_str()); }
  bool exists() const { return ::access(path.c_str(), F_OK) == 0; }
};

}  // namespace

TEST_CASE("gguf writer: every kind of entry comes back") {
  const Scratch scratch;
  const std::vector<std::string> words = {"a", "", "bc"};
  const std::vector<float> floats = {0.5f, -2};
  const std::vector<int32_t> integers = {1, -7};
  {
    GgufWriter out(scratch.path);
    out.metadata().set_string("s", "text");
    out.metadata().set_boolean("b", true);
    out.metadata().set_u32("u32", 4000000000u);
    out.metadata().set_i32("gone", 1);
    out.metadata().set_i32("i32", -5);
    out.metadata().set_u64("u64", uint64_t{1} << 62);
    out.metadata().set_i64("i64", -(int64_t{1} << 40));
    out.metadata().set_f32("f32", 0.25f);
    out.metadata().set_f64("f64", 1e300);
    out.metadata().set_strings("words", words);
    out.metadata().set_floats("floats", floats);
    out.metadata().set_integers("integers", integers);
    out.metadata().set_string("s", "other text");
    out.metadata().erase("gone");
    CHECK(out.metadata().contains("words"));
    out.finish();
  }
  const auto file = GgufFile::open(scratch.path);
  CHECK(file->metadata().size() == 11);
  CHECK(file->metadata()[0].key == "s");
  CHECK(*file->string("s") == "other text");
  CHECK(*file->boolean("b"));
  CHECK(*file->integer("u32") == 4000000000);
  CHECK(*file->integer("i32") == -5);
  CHECK(*file->integer("u64") == int64_t{1} << 62);
  CHECK(*file->integer("i64") == -(int64_t{1} << 40));
  CHECK(*file->number("f32") == 0.25);
  CHECK(*file->number("f64") == 1e300);
  CHECK(file->strings("words") == std::vector<std::string_view>{"a", "", "bc"});
  CHECK(file->floats("floats")[1] == -2);
  CHECK(file->integers("integers")[1] == -7);
}

TEST_CASE("gguf writer: tensors come back, written whole or in parts, at the asked alignment") {
  const Scratch scratch;
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  GgufWriter out(scratch.path);
  out.metadata().set_u32("general.alignment", 64);
  out.add_tensor("a", {2, 3}, DType::f32);
  out.add_tensor("q", {32}, DType::q8_0);
  out.add_tensor("t", {3, 2}, DType::f32);
  out.write(a);
  const std::string blocks(34, 'x');
  out.write(format_helpers::as_bytes(blocks).first(10));
  out.write(format_helpers::as_bytes(blocks).subspan(10));
  out.write(a.transpose(0, 1));
  CHECK(!scratch.exists());
  out.finish();
  const auto file = GgufFile::open(scratch.path);
  CHECK(file->alignment() == 64);
  for (const TensorInfo& t : file->tensors()) CHECK(t.offset % 64 == 0);
  CHECK(file->get("a").to_vector() == a.to_vector());
  CHECK(std::memcmp(file->get("q").raw(), blocks.data(), 34) == 0);
  CHECK(file->get("t").to_vector() == a.transpose(0, 1).to_vector());
}

TEST_CASE("gguf writer: what does not fit is refused, and no file is left") {
  const Scratch scratch;
  {
    GgufWriter out(scratch.path);
    const auto add = [&](const char* name, const Shape& shape, DType dtype) {
      return error_of([&] { out.add_tensor(name, shape, dtype); });
    };
    CHECK(contains(add("w", {0, 4}, DType::f32), "without elements"));
    CHECK(contains(add("w", {33}, DType::q8_0), "not whole q8_0 blocks of 32"));
    CHECK(contains(add("w", {4}, DType::c64), "GGUF has no c64"));
    CHECK(add("w", {4}, DType::f32).empty());
    CHECK(contains(add("w", {4}, DType::f32), "the name occurs twice"));
    CHECK(contains(error_of([&] { out.write(Tensor::zeros({5})); }), "announced as f32 [4]"));
    CHECK(contains(error_of([&] { out.finish(); }), "\"w\": its data was not written"));
    out.write(Tensor::zeros({4}));
    CHECK(contains(error_of([&] { out.write(Tensor::zeros({4})); }), "past the announced"));
    CHECK(contains(error_of([&] { out.metadata().set_u32("late", 1); }), "before any data"));
    CHECK(contains(add("late", {4}, DType::f32), "after data"));
  }
  CHECK(!scratch.exists());
  GgufWriter out(scratch.path);
  out.metadata().set_u32("general.alignment", 48);
  CHECK(contains(error_of([&] { out.finish(); }), "not a power of two"));
}

// GGUF: files made by hand are read as written, and each known fault is a clear error.
#include <doctest/doctest.h>

#include "format_helpers.h"
#include "tallow/gguf.h"

using namespace format_helpers;
using tallow::Error;
using tallow::GgufFile;
using tallow::GgufType;

namespace {

std::shared_ptr<const GgufFile> open(std::string_view text) {
  return GgufFile::from_memory(as_bytes(text), "t");
}

/// Opens and reads everything that the file has.
void use(std::string_view text) {
  const auto file = open(text);
  for (const auto& value : file->metadata()) to_json(value, 3);
  for (const auto& t : file->tensors()) {
    if (t.dtype) file->get(t.name);
  }
}

std::string error(const Bytes& bytes) {
  return error_of([&] { use(bytes.text); });
}

Bytes header(uint64_t tensors, uint64_t values, uint32_t version = 3) {
  return Bytes().raw("GGUF").put(version).put(tensors).put(values);
}

Bytes& key(Bytes& b, std::string_view name, GgufType type) {
  return b.string(name).put(static_cast<uint32_t>(type));
}

Bytes& tensor(Bytes& b, std::string_view name, std::initializer_list<uint64_t> dims, uint32_t type,
              uint64_t offset) {
  b.string(name).put(static_cast<uint32_t>(dims.size()));
  for (const uint64_t d : dims) b.put(d);
  return b.put(type).put(offset);
}

constexpr uint32_t kF32 = 0, kQ8_0 = 8;

/// All kinds of metadata and two tensors.
std::string sample() {
  Bytes b = header(2, 16);
  key(b, "u8", GgufType::u8).put<uint8_t>(255);
  key(b, "i8", GgufType::i8).put<int8_t>(-128);
  key(b, "u16", GgufType::u16).put<uint16_t>(65535);
  key(b, "i16", GgufType::i16).put<int16_t>(-32768);
  key(b, "u32", GgufType::u32).put<uint32_t>(4294967295u);
  key(b, "i32", GgufType::i32).put<int32_t>(INT32_MIN);
  key(b, "f32", GgufType::f32).put(1.5f);
  key(b, "bool", GgufType::boolean).put<uint8_t>(1);
  key(b, "string", GgufType::string).string("text");
  key(b, "u64", GgufType::u64).put<uint64_t>(UINT64_MAX);
  key(b, "i64", GgufType::i64).put<int64_t>(INT64_MIN);
  key(b, "f64", GgufType::f64).put(0.1);
  key(b, "strings", GgufType::array).put<uint32_t>(8).put<uint64_t>(3);
  b.string("a").string("").string("ccc");
  key(b, "floats", GgufType::array).put<uint32_t>(6).put<uint64_t>(2).put(0.5f).put(2.f);
  key(b, "ints", GgufType::array)
      .put<uint32_t>(5)
      .put<uint64_t>(2)
      .put<int32_t>(-1)
      .put<int32_t>(7);
  key(b, "none", GgufType::array).put<uint32_t>(6).put<uint64_t>(0);
  tensor(b, "a", {3, 2}, kF32, 0);
  tensor(b, "b", {32, 1}, kQ8_0, 32);
  b.pad(32);
  for (int i = 0; i < 6; ++i) b.put(static_cast<float>(i));
  b.pad(32).raw(std::string(34, '\1')).pad(32);
  return b.text;
}

}  // namespace

TEST_CASE("gguf: metadata of every type is read, and shapes are in PyTorch's order") {
  const auto file = open(sample());
  CHECK(file->version() == 3);
  CHECK(file->integer("u8") == 255);
  CHECK(file->integer("i8") == -128);
  CHECK(file->integer("u16") == 65535);
  CHECK(file->integer("i16") == -32768);
  CHECK(file->integer("u32") == 4294967295);
  CHECK(file->integer("i32") == INT32_MIN);
  CHECK(file->number("f32") == 1.5);
  CHECK(file->number("f64") == 0.1);
  CHECK(file->number("u8") == 255);
  CHECK(file->boolean("bool") == true);
  CHECK(file->string("string") == "text");
  CHECK(file->integer("i64") == INT64_MIN);
  CHECK(file->strings("strings") == std::vector<std::string_view>{"a", "", "ccc"});
  REQUIRE(file->floats("floats").size() == 2);
  CHECK(file->floats("floats")[1] == 2.f);
  CHECK(file->integers("ints")[0] == -1);
  CHECK(file->floats("none").empty());
  CHECK(!file->integer("absent"));
  CHECK(file->strings("absent").empty());

  const tallow::Tensor a = file->get("a");
  CHECK(a.shape() == tallow::Shape{2, 3});
  CHECK(a.data<float>()[5] == 5.f);
  CHECK(file->get("b").dtype() == tallow::DType::q8_0);
  CHECK(file->get("a").buffer() == a.buffer());
}

TEST_CASE("gguf: a value of another type is an error that names file, key and types") {
  const auto file = open(sample());
  CHECK(error_of([&] { file->integer("string"); }) ==
        "t: metadata \"string\": expected an integer, found string");
  CHECK(contains(error_of([&] { file->integer("u64"); }), "below 2^63"));
  CHECK(contains(error_of([&] { file->string("strings"); }), "found an array of string"));
  CHECK(contains(error_of([&] { file->floats("ints"); }), "expected an array of f32"));
  CHECK(contains(error_of([&] { file->boolean("u8"); }), "expected a boolean"));
}

TEST_CASE("gguf: a file cut at any byte is an error") { check_prefixes(sample(), use); }

TEST_CASE("gguf: no flipped bit does harm") { check_bit_flips(sample(), use); }

TEST_CASE("gguf: versions 1 to 3 are read, others are refused") {
  CHECK(open(header(0, 0, 2).text)->version() == 2);
  CHECK(contains(error(header(0, 0, 4)), "4 is not supported"));
  CHECK(contains(error(header(0, 0, 0x04000000)), "version: offset 8: 4 is not supported"));
  CHECK(contains(error(Bytes().raw("GGML").pad(64)), "not a GGUF file"));
  CHECK(error(Bytes()) == "t: the file is empty");
}

TEST_CASE("gguf: counts and lengths beyond the file allocate nothing") {
  CHECK(contains(error(header(UINT64_MAX, 0)), "tensor count: offset 24"));
  CHECK(contains(error(header(uint64_t{1} << 61, 0)), "tensor count"));
  CHECK(contains(error(header(0, uint64_t{1} << 63)), "metadata count"));
  Bytes b = header(0, 1);
  CHECK(contains(error(b.put(UINT64_MAX).pad(64)), "metadata key: offset 32: needs"));
  for (const auto type : {GgufType::string, GgufType::u8, GgufType::u64}) {
    b = header(0, 1);
    key(b, "k", GgufType::array).put(static_cast<uint32_t>(type)).put(uint64_t{1} << 62).pad(64);
    CHECK(contains(error(b), "metadata \"k\""));
  }
}

TEST_CASE("gguf: faulty metadata is refused") {
  Bytes b = header(0, 1);
  CHECK(contains(error(b.string("k").put<uint32_t>(13).pad(64)), "unknown value type 13"));
  b = header(0, 1);
  key(b, "k", GgufType::array).put<uint32_t>(9).put<uint64_t>(0).pad(64);
  CHECK(contains(error(b), "array of arrays"));
  b = header(0, 1);
  key(b, "k", GgufType::boolean).put<uint8_t>(2);
  CHECK(contains(error(b), "the boolean is 2"));
  b = header(0, 2);
  key(b, "k", GgufType::u8).put<uint8_t>(1);
  key(b, "k", GgufType::u8).put<uint8_t>(1);
  CHECK(contains(error(b), "\"k\": offset 52: the key occurs twice"));
}

TEST_CASE("gguf: the alignment must be a u32 and a power of two") {
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 31, UINT32_MAX}) {
    Bytes b = header(0, 1);
    key(b, "general.alignment", GgufType::u32).put(alignment);
    CHECK(contains(error(b), "is not a power of two"));
  }
  Bytes b = header(0, 1);
  key(b, "general.alignment", GgufType::u64).put<uint64_t>(32);
  CHECK(contains(error(b), "has the type u64 instead of u32"));
  b = header(1, 1);
  key(b, "general.alignment", GgufType::u32).put<uint32_t>(8);
  tensor(b, "a", {2}, kF32, 0).pad(8).put(1.f).put(2.f);
  CHECK(open(b.text)->get("a").data<float>()[1] == 2.f);
}

TEST_CASE("gguf: faulty tensors are refused by name") {
  const auto fault = [](std::initializer_list<uint64_t> dims, uint32_t type, uint64_t offset) {
    Bytes b = header(1, 0);
    tensor(b, "w", dims, type, offset).pad(32).raw(std::string(64, '\0'));
    return error(b);
  };
  CHECK(fault({16}, kF32, 0).empty());
  CHECK(contains(fault({0}, kF32, 0), "tensor \"w\": offset"));
  CHECK(contains(fault({uint64_t{1} << 63}, kF32, 0), "is not positive"));
  CHECK(contains(fault({(uint64_t{1} << 42) + 1, uint64_t{1} << 22}, kF32, 0), "overflows"));
  CHECK(contains(fault({uint64_t{1} << 62}, kF32, 0), "size in bytes overflows"));
  CHECK(contains(fault({uint64_t{1} << 40}, kF32, 0), "past the file"));
  CHECK(contains(fault({17}, kF32, 0), "past the file"));
  CHECK(contains(fault({16}, kQ8_0, 0), "not whole q8_0 blocks of 32"));
  CHECK(contains(fault({4}, kF32, 4), "not a multiple of 32"));
  CHECK(contains(fault({4}, kF32, uint64_t{1} << 63), "past the end"));
  CHECK(contains(fault({4}, kF32, 96), "past the file"));
  CHECK(contains(fault({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, kF32, 0), "13 dimensions"));
  for (const uint32_t id : {4u, 5u, 31u, 36u, 38u, 43u, 1000u, UINT32_MAX}) {
    const std::string message = fault({32}, id, 0);
    CHECK(contains(message, "tensor \"w\""));
    CHECK(contains(message, "the type id " + std::to_string(id)));
  }
}

TEST_CASE("gguf: names that occur twice and data that overlaps are refused") {
  Bytes b = header(2, 0);
  tensor(b, "w", {8}, kF32, 0);
  tensor(b, "w", {8}, kF32, 32).pad(32).raw(std::string(64, '\0'));
  CHECK(contains(error(b), "tensor \"w\": the name occurs twice"));
  b = header(2, 0);
  tensor(b, "v", {8}, kF32, 32);
  tensor(b, "w", {9}, kF32, 0).pad(32).raw(std::string(64, '\0'));
  CHECK(contains(error(b), "tensor \"v\": offset"));
  CHECK(contains(error(b), "overlaps that of \"w\""));
}

TEST_CASE("gguf: a name with line breaks does not break the message") {
  Bytes b = header(1, 0);
  tensor(b, "a\nb\x1b[31m", {0}, kF32, 0).pad(32);
  CHECK(contains(error(b), R"("a\nb\u001b[31m")"));
}

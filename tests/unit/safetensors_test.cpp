// safetensors: files made by hand are read as written, and each known fault is a clear error.
#include <doctest/doctest.h>

#include "format_helpers.h"
#include "tallow/safetensors.h"

using namespace format_helpers;
using tallow::SafetensorsFile;

namespace {

std::string file_of(std::string_view json, std::string_view data) {
  return Bytes().put<uint64_t>(json.size()).raw(json).raw(data).text;
}

std::shared_ptr<const SafetensorsFile> open(std::string_view text) {
  return SafetensorsFile::from_memory(as_bytes(text), "t");
}

void use(std::string_view text) {
  const auto file = open(text);
  for (const auto& t : file->tensors()) {
    if (t.dtype) file->get(t.name);
  }
}

std::string error(std::string_view json, std::string_view data = "") {
  return error_of([&] { use(file_of(json, data)); });
}

/// One tensor "w" of `bytes` bytes.
std::string entry(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return tallow::str(R"({"w":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":)",
                     offsets, "}}");
}

std::string sample() {
  Bytes data;
  for (int i = 0; i < 6; ++i) data.put(static_cast<float>(i));
  data.put<int16_t>(-3).put<int16_t>(4);
  return file_of(R"({"__metadata__":{"format":"pt"},)"
                 R"("a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                 R"("empty":{"dtype":"F32","shape":[0,3],"data_offsets":[24,24]},)"
                 R"("b\u00e9":{"data_offsets":[24,28],"dtype":"I16","shape":[2]}}  )",
                 data.text);
}

}  // namespace

TEST_CASE("safetensors: tensors, metadata and zero sizes are read") {
  const auto file = open(sample());
  CHECK(file->metadata().at(0).second == "pt");
  CHECK(file->get("a").shape() == tallow::Shape{2, 3});
  CHECK(file->get("a").data<float>()[4] == 4.f);
  CHECK(file->get("bé").data<int16_t>()[0] == -3);
  CHECK(file->get("empty").numel() == 0);
  CHECK(file->names() == std::vector<std::string>{"a", "empty", "bé"});
  CHECK(contains(error_of([&] { file->get("z"); }), "tensor \"z\" is not in the file"));
}

TEST_CASE("safetensors: data that is not aligned for its type is read all the same") {
  for (int shift = 0; shift < 8; ++shift) {
    const std::string json = entry("F64", "[2]", "[0,16]") + std::string(shift, ' ');
    const auto file = open(file_of(json, Bytes().put(1.25).put(-2.5).text));
    const tallow::Tensor w = file->get("w");
    CHECK(reinterpret_cast<uintptr_t>(w.raw()) % 8 == 0);
    CHECK(w.data<double>()[1] == -2.5);
  }
}

TEST_CASE("safetensors: a file cut at any byte is an error") { check_prefixes(sample(), use); }

TEST_CASE("safetensors: no flipped bit does harm") { check_bit_flips(sample(), use); }

TEST_CASE("safetensors: the header's length is checked first") {
  const auto with_length = [](uint64_t length) {
    return error_of([&] { use(Bytes().put(length).raw("{}      ").text); });
  };
  CHECK(with_length(2).find("data: offset 10") != std::string::npos);
  CHECK(contains(with_length(9), "header: offset 8: needs 9 bytes, but 8 are left"));
  for (const uint64_t length :
       {UINT64_MAX, UINT64_MAX - 7, uint64_t{1} << 63, uint64_t{100000001}}) {
    CHECK(contains(with_length(length), "more than the format's limit"));
  }
  CHECK(error_of([&] { use(""); }) == "t: the file is empty");
  CHECK(error("{}").empty());
}

TEST_CASE("safetensors: malformed JSON is an error with its offset") {
  for (const char* json : {"", " {}", "[]", "{", "{\"w\"}", "{\"w\":1}", "{}x", "{\"w\":{}}", "{,}",
                           "{\"a\\q\":1}", "{\"a\\ud800\":1}", "{\"\xff\":1}", "{\"a\n\":1}",
                           "{\"__metadata__\":1}", "{\"__metadata__\":{\"a\":1}}", "{\"\\u12\":1}",
                           "{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}"}) {
    CAPTURE(json);
    CHECK(contains(error(json), ": offset "));
  }
  for (const char shape : {'[', '{'}) {
    const std::string deep = shape == '[' ? std::string(100000, '[') : [] {
      std::string s;
      for (int i = 0; i < 100000; ++i) s += "{\"a\":";
      return s;
    }();
    CHECK(contains(error("{\"w\":{\"more\":" + deep), "nested deeper than 64"));
  }
  CHECK(
      error(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":[{"a":[1.5e3,null]}]}})",
            "x")
          .empty());
}

TEST_CASE("safetensors: shapes and offsets must agree with the data") {
  const std::string data(16, '\0');
  CHECK(error(entry("F32", "[4]", "[0,16]"), data).empty());
  CHECK(contains(error(entry("F32", "[4]", "[16,0]"), data), "reversed"));
  CHECK(contains(error(entry("F32", "[5]", "[0,20]"), data), "ends at 20 of 16 bytes"));
  CHECK(contains(error(entry("F32", "[3]", "[0,16]"), data), "takes 12 bytes, but data_offsets"));
  CHECK(contains(error(entry("F32", "[3]", "[0,12]"), data), "4 bytes belong to no tensor"));
  CHECK(contains(error(entry("F32", "[3]", "[4,16]"), data), "leaves a gap"));
  CHECK(contains(error(entry("F32", "[-1]", "[0,16]"), data), "expected an integer"));
  CHECK(contains(error(entry("F32", "[4.0]", "[0,16]"), data), "expected an integer"));
  CHECK(contains(error(entry("F32", "[04]", "[0,16]"), data), "expected an integer"));
  CHECK(contains(error(entry("F32", "[4]", "[0,99999999999999999999]"), data), "overflows"));
  CHECK(contains(error(entry("F32", "[4398046511105,4194304]", "[0,16]"), data), "overflows"));
  CHECK(contains(error(entry("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,4]", "[0,16]"), data), "dimensions"));
  CHECK(contains(error(entry("F32", "[4]", "[0]"), data), "expected ','"));
  CHECK(contains(error(entry("F4", "[3]", "[0,16]"), data), "ends inside a byte"));
  CHECK(contains(error(entry("F4", "[4]", "[0,16]"), data), "data_offsets span"));
  CHECK(error(entry("F4", "[4,8]", "[0,16]"), data).empty());
  CHECK(error(entry("F6_E2M3", "[4,4]", "[0,12]"), data.substr(4)).empty());
}

TEST_CASE("safetensors: overlapping data and repeated names are refused") {
  const std::string data(16, '\0');
  const auto two = [&](const char* a, const char* b, const char* name) {
    return error(tallow::str(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":)", a, R"(},")", name,
                             R"(":{"dtype":"U8","shape":[8],"data_offsets":)", b, "}}"),
                 data);
  };
  CHECK(two("[0,8]", "[8,16]", "b").empty());
  CHECK(two("[8,16]", "[0,8]", "b").empty());
  CHECK(contains(two("[0,8]", "[4,12]", "b"), "overlaps"));
  CHECK(contains(two("[0,8]", "[0,8]", "b"), "overlaps"));
  CHECK(contains(two("[0,8]", "[8,16]", "a"), "the name occurs twice"));
  CHECK(contains(error(R"({"w":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})"),
                 "\"dtype\" occurs twice"));
}

TEST_CASE("safetensors: a type that tallow lacks is listed, and refused when asked for") {
  const auto file = open(file_of(entry("NEW", "[2]", "[0,2]"), "xx"));
  CHECK(file->tensors()[0].type == "\"NEW\"");
  CHECK(contains(error_of([&] { file->get("w"); }), "is not supported"));
}

TEST_CASE("safetensors: elements that share a byte with another row get one of their own") {
  const std::string data = "\x10\x32\x54\x76\x98\xba\xdc\xfe\x5a";
  for (const auto& [type, rows, flat] : {std::tuple{"F4", "[6,3]", "[18]"},
                                         {"F6_E2M3", "[4,3]", "[12]"},
                                         {"F6_E3M2", "[6,2]", "[12]"}}) {
    const std::string end = tallow::str("[0,", data.size(), "]");
    const auto file = open(file_of(entry(type, rows, end), data));
    const auto plain = open(file_of(entry(type, flat, end), data));
    CHECK(contains(file->find("w")->type, "with rows of"));
    CHECK(file->get("w").dtype() == tallow::DType::f8_e4m3);
    CHECK(file->get("w").shape() == file->find("w")->shape);
    CHECK(file->get("w").to_vector() == plain->get("w").to_vector());
  }
}

TEST_CASE("safetensors: a header of 100 MB of brackets costs neither time nor memory") {
  CHECK(contains(error("{\"w\":" + std::string(99'000'000, '[')), "is not an object"));
  CHECK(contains(error("{\"w\":{\"m\":[" + std::string(30'000'000, '1')), "header: offset"));
}

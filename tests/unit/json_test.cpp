// JSON: values round-trip, and malformed or hostile text gives one clear error.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tallow/error.h"
#include "tallow/json.h"

using tallow::Error;
using tallow::Json;

static std::string error_of(std::string_view text) {
  try {
    Json::parse(text, "t");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST_CASE("json: values parse to their kinds and keep key order") {
  const Json v = Json::parse(
      R"( {"b": [1, -2.5, true, null, "x\u00e9\ud83d\ude00\n"], "a": {"c": {}, "d": []}} )", "t");
  CHECK(v.members()[0].first == "b");
  CHECK(v.members()[1].first == "a");
  const auto& items = v.at("b").items();
  CHECK(items[0].integer() == 1);
  CHECK(items[1].number() == -2.5);
  CHECK(items[2].boolean());
  CHECK(items[3].is_null());
  CHECK(items[4].string() == "xé😀\n");
  CHECK(v.dump() == R"({"b":[1,-2.5,true,null,"xé😀\n"],"a":{"c":{},"d":[]}})");
  CHECK(v.find("zz") == nullptr);
  CHECK_THROWS_AS(v.at("zz"), Error);
  CHECK_THROWS_AS(v.string(), Error);
}

TEST_CASE("json: integers are exact in 64 bits, larger ones become real") {
  CHECK(Json::parse("9223372036854775807", "t").integer() == INT64_MAX);
  CHECK(Json::parse("-9223372036854775808", "t").integer() == INT64_MIN);
  CHECK(Json::parse("9223372036854775808", "t").kind() == Json::Kind::real);
  CHECK(Json::parse("18446744073709551616", "t").number() == 18446744073709551616.0);
  CHECK(Json::parse("1e3", "t").integer() == 1000);
  CHECK_THROWS_AS(Json::parse("1.5", "t").integer(), Error);
}

TEST_CASE("json: doubles are read and written with full precision") {
  for (const char* text : {"0.1", "2.2250738585072014e-308", "1.7976931348623157e+308", "5e-324",
                           "0.30000000000000004", "-0.0", "100.0", "1e+22"}) {
    CHECK(Json::parse(text, "t").dump() == text);
  }
  CHECK(std::isinf(Json::parse("[0.0, Infinity]", "t").items()[1].number()));
}

TEST_CASE("json: indentation matches the usual layout") {
  const Json v = Json::parse(R"({"a":[1,{}],"b":[]})", "t");
  CHECK(v.dump(2) == "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST_CASE("json: set adds and replaces") {
  Json v;
  v.set("a", 1);
  v.set("b", "x");
  v.set("a", Json::Array{1, 2});
  CHECK(v.dump() == R"({"a":[1,2],"b":"x"})");
}

TEST_CASE("json: errors name the source and the offset") {
  CHECK(error_of("[1, 2").substr(0, 13) == "t: offset 5: ");
  CHECK(error_of(R"({"a":1,"a":2})").find("\"a\" occurs twice") != std::string::npos);
  std::string many = "{";
  for (int i = 0; i < 50000; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  CHECK(error_of(many + "\"k77\":1}").find("\"k77\" occurs twice") != std::string::npos);
  for (const char* bad : {"", " ", "{", "[1,]", "{\"a\"}", "nul", "01", "1 2", "\"\\x\"", "\"a",
                          "\"\\ud800\"", "\"\\udc00\"", "\"\xff\"", "\"\xed\xa0\x80\"", "1e999",
                          "\"\xc0\x80\"", "'a'", "{1:2}", "[1}"}) {
    CAPTURE(bad);
    CHECK(error_of(bad).rfind("t: offset ", 0) == 0);
  }
  CHECK(error_of(std::string_view("1\0", 2)) != "");
}

TEST_CASE("json: nesting without end is refused") {
  CHECK(error_of(std::string(1000000, '[')).find("deeper than 256") != std::string::npos);
  CHECK(error_of(std::string(256, '[') + std::string(256, ']')) == "");
  CHECK(error_of(std::string(257, '[') + std::string(257, ']')) != "");
}

TEST_CASE("json: invalid UTF-8 is replaced on output") {
  CHECK(Json("a\xff\xe2\x82z\x01\"").dump() == "\"a\xef\xbf\xbd\xef\xbf\xbdz\\u0001\\\"\"");
}

TEST_CASE("json: files that cannot be read are named") {
  CHECK_THROWS_WITH_AS(Json::read("/nonexistent/x.json"),
                       "/nonexistent/x.json: cannot open: No such file or directory", Error);
  CHECK_THROWS_AS(Json::read("/"), Error);
}

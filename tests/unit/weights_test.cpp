// Weights, Config and checkpoints: prefixes, checks, and what a broken folder answers.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include "format_helpers.h"
#include "tallow/gguf.h"
#include "tallow/inspect.h"
#include "tallow/safetensors.h"
#include "tallow/weights.h"

using namespace format_helpers;
using tallow::Config;
using tallow::Json;
using tallow::Shape;
using tallow::Weights;

namespace {

/// A folder that is removed with what was written into it.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/tallow_test_XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~Folder() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    ::rmdir(path.c_str());
  }
  std::string write(const std::string& name, std::string_view text) {
    files_.push_back(path + "/" + name);
    FILE* file = std::fopen(files_.back().c_str(), "wb");
    REQUIRE(file);
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    return files_.back();
  }
  std::string path;

 private:
  std::vector<std::string> files_;
};

/// A safetensors file of one-byte-per-element tensors of the named shapes.
std::string tensors(const std::vector<std::pair<std::string, Shape>>& list) {
  std::string json = "{";
  int64_t at = 0;
  for (const auto& [name, shape] : list) {
    json += tallow::str(json.size() > 1 ? "," : "", "\"", name,
                        "\":{\"dtype\":\"U8\",\"shape\":", shape, ",\"data_offsets\":[", at, ",",
                        at + shape.numel(), "]}");
    at += shape.numel();
  }
  json += "}";
  const std::string data(static_cast<size_t>(at), '\1');
  return Bytes().put<uint64_t>(json.size()).raw(json).raw(data).text;
}

Weights make_weights() {
  const std::string text = tensors({{"model.embed.weight", {4, 2}},
                                    {"model.layers.0.attn.q_proj.weight", {2, 2}},
                                    {"model.layers.0.attn.k_proj.weight", {2, 2}},
                                    {"model.layers.1.attn.q_proj.weight", {2, 2}},
                                    {"model.norm.weight", {2}},
                                    {"lm_head.weight", {4, 2}}});
  return Weights(tallow::SafetensorsFile::from_memory(as_bytes(text), "t"));
}

Config make_config(std::string_view json) { return Config(Json::parse(json, "t"), "t"); }

}  // namespace

TEST_CASE("weights: prefixes lead to names, and shapes are checked") {
  const Weights w = make_weights();
  const Weights layer = w / "model.layers" / 0;
  CHECK(layer.get("attn.q_proj.weight", {2, 2}).numel() == 4);
  CHECK((layer / "attn").contains("k_proj.weight"));
  CHECK(!(layer / "attn").contains("v_proj.weight"));
  CHECK(!layer.find("attn.q_proj.bias", {2}).defined());
  CHECK(error_of([&] {
          layer.get("attn.q_proj.weight", {2, 3});
        }) ==
        "t: tensor \"model.layers.0.attn.q_proj.weight\" has the shape [2, 2], but the "
        "configuration asks for [2, 3]");
  CHECK(contains(error_of([&] { layer.find("attn.q_proj.weight", {4}); }), "has the shape"));
}

TEST_CASE("weights: a missing name brings the nearest five") {
  CHECK(error_of([] {
          (make_weights() / "model.layers" / 0).get("attn.v_proj.weight", {2, 2});
        }) ==
        "t: tensor \"model.layers.0.attn.v_proj.weight\" is missing; the nearest of 6 names: "
        "\"model.layers.0.attn.k_proj.weight\", \"model.layers.0.attn.q_proj.weight\", "
        "\"model.layers.1.attn.q_proj.weight\", \"model.norm.weight\", \"model.embed.weight\"");
}

TEST_CASE("weights: what was never asked for is listed, over all copies") {
  const Weights w = make_weights();
  (w / "model").get("norm.weight", {2});
  w.find("lm_head.weight", {4, 2});
  w.contains("model.embed.weight");
  CHECK(w.unused() == std::vector<std::string>{"model.embed.weight",
                                               "model.layers.0.attn.q_proj.weight",
                                               "model.layers.0.attn.k_proj.weight",
                                               "model.layers.1.attn.q_proj.weight"});
}

TEST_CASE("weights: threads may load at once, and get the same buffers") {
  const Weights w = make_weights();
  std::vector<std::thread> threads;
  std::vector<const void*> seen(4);
  for (size_t i = 0; i < seen.size(); ++i) {
    threads.emplace_back([&, i] {
      for (const auto& name : w.unused()) w.get_any(name);
      seen[i] = w.get("lm_head.weight", {4, 2}).buffer().get();
    });
  }
  for (auto& thread : threads) thread.join();
  for (const void* buffer : seen) CHECK(buffer == seen[0]);
  CHECK(w.unused().empty());
}

TEST_CASE("config: values are typed and within range") {
  const Config c = make_config(R"({"n":4,"whole":8.0,"half":0.5,"yes":true,"name":"x","none":null,
                                   "zero":0,"minus":-1,"huge":1e18,"text":"4","inf":Infinity,
                                   "list":[1]})");
  CHECK(c.integer("n") == 4);
  CHECK(c.integer("whole") == 8);
  CHECK(c.number("half") == 0.5);
  CHECK(c.number("n") == 4);
  CHECK(c.boolean_or("yes", false));
  CHECK(c.string("name") == "x");
  CHECK(c.integer_or("none", 7) == 7);
  CHECK(c.integer_or("absent", 7) == 7);
  CHECK(!c.has("none"));
  CHECK(c.find("list")->items().size() == 1);
  CHECK(error_of([&] { c.integer("absent"); }) == "t: \"absent\" is missing");
  CHECK(error_of([&] { c.integer("zero"); }) == "t: \"zero\": 0 is outside 1 to 1073741824");
  CHECK(error_of([&] { c.integer_or("minus", 3); }) ==
        "t: \"minus\": -1 is outside 1 to 1073741824");
  CHECK(contains(error_of([&] { c.integer("huge"); }), "is outside"));
  CHECK(error_of([&] { c.integer("half"); }) == "t: \"half\": expected an integer, found 0.5");
  CHECK(error_of([&] { c.integer("text"); }) == "t: \"text\": expected an integer, found \"4\"");
  CHECK(contains(error_of([&] { c.integer("list"); }), "found an array of 1"));
  CHECK(contains(error_of([&] { c.number("inf"); }), "expected a finite number"));
  CHECK(contains(error_of([&] { c.boolean_or("n", true); }), "expected true or false"));
  CHECK(contains(error_of([&] { c.string_or("n", ""); }), "expected a string"));
}

TEST_CASE("checkpoint: a folder without its parts says which is missing") {
  Folder folder;
  const auto error = [&] { return error_of([&] { tallow::open_checkpoint(folder.path); }); };
  CHECK(contains(error(), "holds no config.json"));
  folder.write("config.json", "{}");
  CHECK(contains(error(), "config.json: \"architectures\" is missing"));
  folder.write("config.json", "[]");
  CHECK(contains(error(), "is not a JSON object"));
  folder.write("config.json", R"({"architectures":["Any"],"hidden_size":4})");
  CHECK(contains(error(), "holds neither model.safetensors nor"));
  folder.write("model.safetensors", tensors({{"w", {2}}}));
  const auto opened = tallow::open_checkpoint(folder.path);
  CHECK(opened.architecture == "Any");
  CHECK(opened.config.integer("hidden_size") == 4);
  CHECK(opened.weights.get("w", {2}).data<uint8_t>()[1] == 1);
  CHECK(opened.gguf == nullptr);
  folder.write("generation_config.json", R"({"temperature":0.5})");
  CHECK(tallow::open_checkpoint(folder.path).generation.number("temperature") == 0.5);
}

TEST_CASE("checkpoint: shards must be there, and hold what the index says") {
  Folder folder;
  folder.write("config.json", R"({"architectures":["Any"]})");
  const auto error = [&](std::string_view index) {
    folder.write("model.safetensors.index.json", index);
    return error_of([&] { tallow::open_checkpoint(folder.path); });
  };
  folder.write("a.safetensors", tensors({{"w", {2}}}));
  folder.write("b.safetensors", tensors({{"v", {3}}}));
  folder.write("c.safetensors", tensors({{"w", {2}}}));
  CHECK(error(R"({"weight_map":{"w":"a.safetensors","v":"b.safetensors"}})").empty());
  CHECK(tallow::open_checkpoint(folder.path).weights.get("v", {3}).numel() == 3);
  CHECK(contains(tallow::inspect_text(folder.path), "b.safetensors"));
  CHECK(contains(error(R"({"weight_map":{"w":"z.safetensors"}})"),
                 "the shard \"z.safetensors\" is missing"));
  CHECK(contains(error(R"({"weight_map":{"u":"a.safetensors"}})"),
                 "tensor \"u\" is not in its shard"));
  CHECK(contains(error(R"({"weight_map":{"w":"a.safetensors","v":"c.safetensors"}})"),
                 "tensor \"w\" is in two shards"));
  CHECK(contains(error(R"({"weight_map":{"w":1}})"), "is not a string"));
  CHECK(contains(error(R"({"weight_map":[]})"), "weight_map: is missing or not an object"));
  CHECK(contains(error("{"), "model.safetensors.index.json: offset"));
  CHECK(contains(error(R"({"weight_map":{"w":"a.safetensors","w":"a.safetensors"}})"), "twice"));
  for (const char* name : {"../a.safetensors", "/etc/passwd", "..", "", "x/../a.safetensors"}) {
    CHECK(contains(error(tallow::str(R"({"weight_map":{"w":")", name, "\"}}")),
                   "is not the name of a file beside it"));
  }
}

TEST_CASE("checkpoint: paths that are no model are clear errors") {
  Folder folder;
  const auto error = [&](const std::string& path) {
    return error_of([&] { tallow::open_checkpoint(path); });
  };
  CHECK(error("/nonexistent") == "/nonexistent: cannot open: No such file or directory");
  CHECK(contains(error(folder.write("e.gguf", "")), "e.gguf: the file is empty"));
  CHECK(contains(error(folder.write("x.safetensors", tensors({}))), "no configuration"));
  CHECK(contains(error(folder.write("x.txt", "hello")), "not a GGUF file"));
  CHECK(contains(error("/dev/null"), "is not a regular file"));
  const std::string pipe = folder.write("pipe", "");
  ::unlink(pipe.c_str());
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(contains(error(pipe), "is not a regular file"));
}

TEST_CASE("checkpoint: GGUF metadata of a wrong type or a split model is an error") {
  Folder folder;
  const auto error = [&](const Bytes& values, uint64_t count) {
    const Bytes b =
        Bytes().raw("GGUF").put<uint32_t>(3).put<uint64_t>(0).put(count).raw(values.text);
    const std::string path = folder.write("m.gguf", b.text);
    return error_of([&] { tallow::open_checkpoint(path); });
  };
  const auto text = [](std::string_view key, std::string_view value) {
    return Bytes().string(key).put<uint32_t>(8).string(value).text;
  };
  const std::string llama = text("general.architecture", "llama");
  CHECK(error(Bytes().raw(llama), 1).empty());
  CHECK(contains(error(Bytes(), 0), "\"general.architecture\" is missing"));
  CHECK(contains(error(Bytes().raw(llama).raw(text("llama.block_count", "2")), 2),
                 "\"llama.block_count\": expected an integer, found string"));
  CHECK(
      contains(error(Bytes().raw(llama).string("split.count").put<uint32_t>(2).put<uint16_t>(3), 2),
               "one of 3 parts"));
}

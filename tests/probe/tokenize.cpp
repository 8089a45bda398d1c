// tallow_probe tokenize MODEL MODE [FLAG]: the tokenizer of a folder, a tokenizer.json or a .gguf.
//   encode [no-special]   stdin: strings, each after its length as 4 bytes; stdout: a JSON list
//   each decode [skip]         stdin: a JSON list of ids a line; stdout: a JSON string each stream
//   [skip]         the same id by id; stdout: a JSON list of the parts each token stdin: a JSON
//   list of ids a line; stdout: the pieces info                  stdout: bos, eos, vocab_size as
//   JSON time                  stdin: a text; stdout: how long loading and encoding take, as JSON
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "tallow/error.h"
#include "tallow/gguf.h"
#include "tallow/json.h"
#include "tallow/tokenizer.h"

namespace probe {
namespace {

using namespace tallow;

std::string read_all(std::FILE* file) {
  std::string text;
  char buffer[1 << 16];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
  return text;
}

Tokenizer from_gguf(const std::string& path, double* ms) {
  const auto file = GgufFile::open(path);
  const auto start = std::chrono::steady_clock::now();
  const auto key = [](const char* name) { return std::string("tokenizer.ggml.") + name; };
  GgufVocabulary v;
  v.model = file->string(key("model")).value_or("");
  v.pre = file->string(key("pre")).value_or("");
  v.tokens = file->strings(key("tokens"));
  v.merges = file->strings(key("merges"));
  v.scores = file->floats(key("scores"));
  v.types = file->integers(key("token_type"));
  v.bos = file->integer(key("bos_token_id"));
  v.eos = file->integer(key("eos_token_id"));
  v.eot = file->integer(key("eot_token_id"));
  v.unk = file->integer(key("unknown_token_id"));
  v.pad = file->integer(key("padding_token_id"));
  v.cls = file->integer(key("cls_token_id"));
  v.sep = file->integer(key("seperator_token_id"));
  if (const GgufValue* map = file->find_value(key("precompiled_charsmap")); map && map->is_array) {
    v.charsmap = {reinterpret_cast<const char*>(map->data.data()), map->data.size()};
  }
  v.add_bos = file->boolean(key("add_bos_token"));
  v.add_eos = file->boolean(key("add_eos_token"));
  v.remove_extra_whitespaces = file->boolean(key("remove_extra_whitespaces"));
  v.add_space_prefix = file->boolean(key("add_space_prefix"));
  Tokenizer tokenizer = Tokenizer::from_gguf(v, path);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  if (ms) *ms = took.count();
  return tokenizer;
}

Tokenizer load(const std::string& path, double* ms = nullptr) {
  if (path.ends_with(".gguf")) return from_gguf(path, ms);
  const auto start = std::chrono::steady_clock::now();
  const auto timed = [&](Tokenizer tokenizer) {
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    if (ms) *ms = took.count();
    return tokenizer;
  };
  if (!path.ends_with(".json")) return timed(Tokenizer::from_folder(path));
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path, ": cannot be opened");
  const std::string text = read_all(file);
  std::fclose(file);
  return timed(Tokenizer::from_json(text, nullptr, path));
}

void encode(const Tokenizer& tokenizer, std::string_view input, bool special) {
  while (input.size() >= 4) {
    uint32_t size = 0;
    std::memcpy(&size, input.data(), 4);
    std::string line = "[";
    for (const int32_t id : tokenizer.encode(input.substr(4, size), special)) {
      line += str(line.size() > 1 ? "," : "", id);
    }
    std::puts((line + "]").c_str());
    input.remove_prefix(std::min<size_t>(input.size(), size_t{4} + size));
  }
}

void decode(const Tokenizer& tokenizer, std::string_view input, bool skip, bool parts) {
  for (size_t end; (end = input.find('\n')) != input.npos; input.remove_prefix(end + 1)) {
    std::vector<int32_t> ids;
    const Json list = Json::parse(input.substr(0, end), "stdin");
    for (const Json& id : list.items()) {
      ids.push_back(static_cast<int32_t>(id.integer()));
    }
    if (!parts) {
      std::puts(Json(tokenizer.decode(ids, skip)).dump().c_str());
      continue;
    }
    StreamDecoder stream(tokenizer, skip);
    Json::Array texts;
    for (const int32_t id : ids) texts.emplace_back(stream.next(id));
    texts.emplace_back(stream.finish());
    std::puts(Json(std::move(texts)).dump().c_str());
  }
}

void pieces(const Tokenizer& tokenizer, std::string_view input) {
  for (size_t end; (end = input.find('\n')) != input.npos; input.remove_prefix(end + 1)) {
    const Json ids = Json::parse(input.substr(0, end), "stdin");
    Json::Array list;
    for (const Json& id : ids.items()) {
      list.emplace_back(tokenizer.token(static_cast<int32_t>(id.integer())));
    }
    std::puts(Json(std::move(list)).dump().c_str());
  }
}

void info(const Tokenizer& tokenizer) {
  Json::Array ends;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_end(id)) ends.emplace_back(id);
  }
  const Json report =
      Json::Object{{"bos", tokenizer.bos().value_or(-1)},  {"eos", tokenizer.eos().value_or(-1)},
                   {"bos_token", tokenizer.bos_token()},   {"eos_token", tokenizer.eos_token()},
                   {"vocab_size", tokenizer.vocab_size()}, {"ends", std::move(ends)}};
  std::puts(report.dump().c_str());
}

void time(const std::string& path, std::string_view text) {
  using Clock = std::chrono::steady_clock;
  double best_load = 1e9;
  double best = 1e9;
  size_t count = 0;
  for (int run = 0; run < 5; ++run) {
    double ms = 0;
    const Tokenizer tokenizer = load(path, &ms);
    best_load = std::min(best_load, ms);
    const auto start = Clock::now();
    count = tokenizer.encode(text).size();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  const Json report = Json::Object{{"load_ms", best_load},
                                   {"mb_per_s", static_cast<double>(text.size()) / 1e6 / best},
                                   {"tokens", static_cast<int64_t>(count)}};
  std::puts(report.dump().c_str());
}

}  // namespace

int tokenize(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: tokenize MODEL MODE [FLAG]\n");
    return 2;
  }
  const std::string path = argv[1];
  const std::string mode = argv[2];
  const bool flag = argc > 3;
  if (mode == "time") return time(path, read_all(stdin)), 0;
  const Tokenizer tokenizer = load(path);
  if (mode == "info") return info(tokenizer), 0;
  const std::string input = read_all(stdin);
  if (mode == "encode") return encode(tokenizer, input, !flag), 0;
  if (mode == "decode") return decode(tokenizer, input, flag, false), 0;
  if (mode == "stream") return decode(tokenizer, input, flag, true), 0;
  if (mode == "token") return pieces(tokenizer, input), 0;
  std::fprintf(stderr, "tokenize: no mode %s\n", mode.c_str());
  return 2;
}

}  // namespace probe

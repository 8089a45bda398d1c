// `tallow tokenize`: text to ids and back, and chats to prompts.
#include <sys/stat.h>

#include "model.h"
#include "process.h"
#include "tallow/error.h"

namespace tallow::app {
namespace {

std::string ids_as_json(const std::vector<int32_t>& ids) {
  std::string out = "[";
  for (const int32_t id : ids) out += str(out.size() > 1 ? ", " : "", id);
  return out + "]\n";
}

std::vector<int32_t> read_ids() {
  const Json list = Json::parse(read_stdin(), "standard input");
  if (!list.is_array()) fail("standard input: is not a JSON list of token ids, as in [1, 2, 3]");
  std::vector<int32_t> ids;
  for (const Json& item : list.items()) {
    if (!item.is_integer() || item.integer() < INT32_MIN || item.integer() > INT32_MAX) {
      fail("standard input: ", item.dump(), " is not a token id");
    }
    ids.push_back(static_cast<int32_t>(item.integer()));
  }
  return ids;
}

/// Whether it is a file that holds a tokenizer and no model.
bool is_tokenizer_file(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && !path.ends_with(".gguf");
}

template <class T>
Json list(const std::vector<T>& values) {
  Json::Array items;
  for (const T& value : values) items.emplace_back(value);
  return items;
}

std::string encoding_as_json(const Encoding& encoding) {
  Json::Array offsets;
  for (const auto& [begin, end] : encoding.offsets()) {
    offsets.emplace_back(Json::Array{Json(begin), Json(end)});
  }
  const Json json = Json::Object{{"ids", list(encoding.ids())},
                                 {"tokens", list(encoding.tokens())},
                                 {"offsets", std::move(offsets)},
                                 {"type_ids", list(encoding.type_ids())},
                                 {"special_tokens_mask", list(encoding.special_tokens_mask())},
                                 {"attention_mask", list(encoding.attention_mask())},
                                 {"word_ids", list(encoding.word_ids())},
                                 {"sequence_ids", list(encoding.sequence_ids())}};
  return json.dump() + "\n";
}

std::string encode(const Tokenizer& tokenizer, const TokenizeOptions& options) {
  const std::string text = read_stdin();
  if (!options.json && !options.pair) {
    return ids_as_json(tokenizer.encode(text, !options.no_special));
  }
  EncodeInput input;
  input.text = {text};
  input.has_pair = options.pair.has_value();
  if (input.has_pair) input.pair = {*options.pair};
  const Encoding encoding = tokenizer.encoding(input, !options.no_special);
  return options.json ? encoding_as_json(encoding) : ids_as_json(encoding.ids());
}

int run(const Tokenizer& tokenizer, const TokenizeOptions& options) {
  if (options.decode) {
    write_stdout(tokenizer.decode(read_ids(), options.no_special));
  } else {
    write_stdout(encode(tokenizer, options));
  }
  return 0;
}

}  // namespace

int tokenize(const TokenizeOptions& options) {
  if (!options.chat && is_tokenizer_file(options.model)) {
    return run(Tokenizer::from_file(options.model), options);
  }
  const TextModel text = TextModel::open(find_model(options.model, /*weights=*/false));
  if (!options.chat) return run(text.tokenizer, options);
  write_stdout(text.render_chat(Json::parse(read_file(*options.chat), *options.chat)));
  return 0;
}

}  // namespace tallow::app

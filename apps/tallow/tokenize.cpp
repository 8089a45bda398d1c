// `tallow tokenize`: text to ids and back, and chats to prompts.
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

}  // namespace

int tokenize(const TokenizeOptions& options) {
  const TextModel text = TextModel::open(find_model(options.model, /*weights=*/false));
  if (options.chat) {
    write_stdout(text.render_chat(Json::parse(read_file(*options.chat), *options.chat)));
  } else if (options.decode) {
    write_stdout(text.tokenizer.decode(read_ids(), options.no_special));
  } else {
    write_stdout(ids_as_json(text.tokenizer.encode(read_stdin(), !options.no_special)));
  }
  return 0;
}

}  // namespace tallow::app

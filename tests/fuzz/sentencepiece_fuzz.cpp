// Fuzzes SentencePiece models: what they build must encode and decode anything.
#include "tallow/error.h"
#include "tallow/tokenizer.h"
#include "target.h"

namespace {

/// A field of a message: its number, the kind of its value, the value.
std::string field(int number, int wire, const std::string& value) {
  std::string out(1, static_cast<char>(number << 3 | wire));
  if (wire == 2) out += static_cast<char>(value.size());
  return out + value;
}

std::string piece(const std::string& text, char type) {
  const std::string score("\0\0\x80\xbf", 4);
  return field(1, 2, field(1, 2, text) + field(2, 5, score) + field(3, 0, std::string(1, type)));
}

std::string model(char type) {
  std::string out = piece("<unk>", 2) + piece("<s>", 3);
  for (const char* text : {"\xE2\x96\x81", "a", "b", "ab",
                           "\xE2\x96\x81"
                           "a",
                           "c"}) {
    out += piece(text, 1);
  }
  out += piece("sep", 4) + piece("<0x41>", 6);
  out += field(2, 2, field(3, 0, std::string(1, type)));
  return out + field(3, 2, field(3, 0, std::string(1, '\1')));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = tallow::Tokenizer::from_sentencepiece(bytes, "t");
    for (const std::string_view text : {" ab  c\n", "sepab A \xC3\xA9 \xF0\x9F\x98\x80", ""}) {
      tallow::EncodeInput input;
      input.text = {text};
      const tallow::Encoding encoding = tokenizer.encoding(input);
      (void)encoding.offsets();
      (void)tokenizer.decode(encoding.ids());
    }
    (void)tokenizer.to_json();
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() { return {model(1), model(2)}; }

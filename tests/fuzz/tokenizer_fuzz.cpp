// Fuzzes tokenizer.json: what it builds must encode and decode anything, and a stream must give the
// text that decoding at once gives.
#include <cstdlib>

#include "tallow/error.h"
#include "tallow/json.h"
#include "tallow/tokenizer.h"
#include "target.h"

namespace {

void use(const tallow::Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids = tokenizer.encode(text);
  for (int32_t id = 0; id < tokenizer.vocab_size() && id < 300; ++id) ids.push_back(id);
  for (const bool skip : {false, true}) {
    tallow::StreamDecoder stream(tokenizer, skip);
    std::string streamed;
    for (const int32_t id : ids) streamed += stream.next(id);
    streamed += stream.finish();
    if (streamed != tokenizer.decode(ids, skip)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = tallow::Tokenizer::from_json(input, nullptr, "t");
    for (const std::string_view text :
         {std::string_view(
              "  The abc\n\n\xC3\xA9 e\xCC\x81 \xF0\x9F\x99\x82 12345 \xFF\xE2\x82 <s>x "),
          std::string_view("\0\x01 \xE2\x96\x81"
                           "a",
                           7),
          input.substr(0, 200)}) {
      use(tokenizer, text);
    }
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  constexpr const char* kModel =
      R"("model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,)"
      R"("ignore_merges":false,"vocab":{"<unk>":0,"a":1,"b":2,"ab":3,"c":4,"abc":5,"\u2581":6,)"
      R"("\u2581a":7,"<0x41>":8,"\u0120":9,"e":10,"<0xE9>":11},"merges":["a b",["ab","c"],)"
      R"(["\u2581","a"]]}})";
  const std::string added =
      R"({"version":"1.0","added_tokens":[{"id":20,"content":"<s>","single_word":false,)"
      R"("lstrip":true,"rstrip":true,"normalized":false,"special":true},{"id":21,"content":"ab c",)"
      R"("single_word":true,"lstrip":false,"rstrip":false,"normalized":true,"special":false}],)";
  return {
      added +
          R"("normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Prepend",)"
          R"("prepend":"\u2581"},{"type":"Replace","pattern":{"String":" "},"content":"\u2581"},)"
          R"({"type":"Lowercase"},{"type":"Strip","strip_left":true,"strip_right":true}]},)"
          R"("pre_tokenizer":null,"post_processor":{"type":"TemplateProcessing","single":[)"
          R"({"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],)"
          R"("special_tokens":{"<s>":{"id":"<s>","ids":[12],"tokens":["<s>"]}}},)"
          R"("decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":)"
          R"("\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip",)"
          R"("content":" ","start":1,"stop":1}]},)" +
          kModel,
      added +
          R"("normalizer":null,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":)"
          R"("Split","pattern":{"Regex":"[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"},)"
          R"("behavior":"MergedWithPrevious","invert":true},{"type":"Digits","individual_digits":)"
          R"(true},{"type":"Punctuation"},{"type":"ByteLevel","add_prefix_space":true,)"
          R"("use_regex":true}]},"decoder":{"type":"ByteLevel"},)" +
          kModel,
      added +
          R"("pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"first",)"
          R"("split":true},"decoder":{"type":"Metaspace","replacement":"\u2581"},)" +
          kModel,
  };
}

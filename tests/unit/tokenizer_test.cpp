// The tokenizer's corners that need no other program to be right: errors, threads, odd files. Ids
// and texts are compared with `tokenizers` in tests/python/test_tokenizer.py.
#include "tallow/tokenizer.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "tallow/error.h"
#include "tallow/json.h"
#include "text/tokenizer/json_cursor.h"
#include "text/tokenizer/merge.h"
#include "text/tokenizer/regex.h"
#include "text/tokenizer/unicode.h"

namespace {

using namespace tallow;
using Ids = std::vector<int32_t>;

/// Byte-level BPE: the 256 bytes, then "th", "he", "the" and "Ġthe", then two control tokens.
struct SmallGguf {
  std::vector<std::string> names;
  std::vector<int32_t> types;
  std::vector<std::string> merges{"t h", "h e", "th e", "Ġ the"};
  std::vector<float> scores;
  GgufVocabulary vocabulary;

  SmallGguf() {
    for (int byte = 0; byte < 256; ++byte) {
      std::string name;
      text::append_byte_level(name, std::string(1, static_cast<char>(byte)));
      add(name, 1);
    }
    for (const char* name : {"th", "he", "the", "Ġthe"}) add(name, 1);
    add("<s>", 3);
    add("</s>", 3);
    vocabulary.model = "gpt2";
    vocabulary.pre = "gpt-2";
    vocabulary.bos = 260;
    vocabulary.eos = 261;
  }
  void add(std::string name, int32_t type) {
    names.push_back(std::move(name));
    types.push_back(type);
  }
  Tokenizer open() {
    vocabulary.tokens.assign(names.begin(), names.end());
    vocabulary.merges.assign(merges.begin(), merges.end());
    vocabulary.types = types;
    vocabulary.scores = scores;
    return Tokenizer::from_gguf(vocabulary, "small.gguf");
  }
};

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a GGUF vocabulary: merges, special tokens and begin token") {
  SmallGguf small;
  const Tokenizer plain = small.open();
  CHECK(plain.encode("the the<s>") == Ids{258, 259, 260});
  CHECK(plain.decode(Ids{258, 259, 260}) == "the the<s>");
  CHECK(plain.decode(Ids{258, 259, 260}, true) == "the the");
  CHECK(plain.bos_token() == "<s>");
  CHECK(plain.is_end(261));
  CHECK(plain.is_special(260));
  CHECK(plain.vocab_size() == 262);
  CHECK(plain.token(259) == "Ġthe");
  CHECK(plain.token_id("Ġthe") == 259);
  CHECK_FALSE(plain.token_id("nothing").has_value());

  small.vocabulary.add_bos = true;
  small.vocabulary.add_eos = true;
  const Tokenizer both = small.open();
  CHECK(both.encode("the") == Ids{260, 258, 261});
  CHECK(both.encode("the", false) == Ids{258});
}

TEST_CASE("the views of a GGUF vocabulary may die before the tokenizer") {
  auto small = std::make_unique<SmallGguf>();
  const Tokenizer tokenizer = small->open();
  small.reset();
  CHECK(tokenizer.encode("the") == Ids{258});
  CHECK(tokenizer.token(258) == "the");
}

TEST_CASE("odd GGUF vocabularies are errors that name the key") {
  SmallGguf small;
  const auto error = [&] { return message_of([&] { small.open(); }); };
  small.vocabulary.pre = "nobody";
  CHECK(error().find("small.gguf: tokenizer.ggml.pre: the pre-tokenizer nobody") == 0);
  small.vocabulary.pre = "gpt-2";
  small.vocabulary.model = "alien";
  CHECK(error().find("tokenizer.ggml.model") != std::string::npos);
  small.vocabulary.model = "llama";
  CHECK(error().find("tokenizer.ggml.scores") != std::string::npos);
  small.vocabulary.model = "gpt2";
  small.types.pop_back();
  CHECK(error().find("tokenizer.ggml.token_type") != std::string::npos);
  small.types.push_back(3);
  small.vocabulary.eos = 1 << 20;
  CHECK(error().find("tokenizer.ggml.eos_token_id: id 1048576") != std::string::npos);
  small.vocabulary.eos = 261;
  small.merges.push_back("alone");
  CHECK(error().find("tokenizer.ggml.merges") != std::string::npos);
}

TEST_CASE("merges of unknown tokens and duplicate tokens in a GGUF file are passed over") {
  SmallGguf small;
  small.merges.insert(small.merges.begin(), {"x yz", "q q", "t h"});
  small.add("the", 1);
  CHECK(small.open().encode("the") == Ids{258});
}

TEST_CASE("decoding an id outside the vocabulary is an error") {
  SmallGguf small;
  const Tokenizer tokenizer = small.open();
  for (const int32_t id : {-1, 262, INT32_MAX}) {
    CHECK(message_of([&] { tokenizer.decode(Ids{id}); }) ==
          str("tokenizer: id ", id, " is outside the vocabulary of 262 tokens"));
  }
}

TEST_CASE("a stream gives whole characters and starts afresh after finish") {
  SmallGguf small;
  const Tokenizer tokenizer = small.open();
  StreamDecoder stream(tokenizer);
  CHECK(stream.next(0xE2) == "");
  CHECK(stream.next(0x82) == "");
  CHECK(stream.next(0xAC) == "€");
  CHECK(stream.next(0xF0) == "");
  CHECK(stream.finish() == "\uFFFD");
  CHECK(stream.finish() == "");
  CHECK(stream.next(0x80) == "\uFFFD");
  CHECK(stream.next(258) == "the");
}

TEST_CASE("many threads share one tokenizer") {
  SmallGguf small;
  const Tokenizer tokenizer = small.open();
  std::string text;
  for (int i = 0; i < 2000; ++i) text += str(" the", i, " then th", i * 7);
  const Ids expected = tokenizer.encode(text);
  std::vector<std::thread> threads;
  std::vector<int> right(4);
  for (size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) right[t] += tokenizer.encode(text) == expected;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const int count : right) CHECK(count == 10);
}

TEST_CASE("a word is merged alike by the quadratic loop and by the heap") {
  // The rank of a pair depends on its lengths only, with many ties.
  const auto rank = [](const text::Symbol& a, const text::Symbol& b) {
    const uint32_t left = a.end - a.begin;
    const uint32_t right = b.end - b.begin;
    if (left + right > 7 || left > right + 1) return text::Join{};
    return text::Join{(left * 5 + right * 3) % 7, static_cast<int32_t>(left * 10 + right)};
  };
  for (uint32_t n = 1; n < 200; ++n) {
    std::vector<text::Symbol> one, two;
    for (uint32_t i = 0; i < n; ++i) one.push_back({i, i + 1, 0});
    two = one;
    text::MergeBuffers buffers;
    text::merge_word(one, buffers.joins, rank);
    text::merge_long(two, buffers, rank);
    REQUIRE(one.size() == two.size());
    for (size_t i = 0; i < one.size(); ++i) REQUIRE(one[i].end == two[i].end);
  }
}

TEST_CASE("byte-level alphabet: every byte has a character of its own, and back") {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    std::string spelled, back;
    text::append_byte_level(spelled, bytes);
    text::append_bytes(back, spelled);
    CHECK(back == bytes);
  }
  CHECK(text::byte_to_char(' ') == U'Ġ');
  CHECK(text::byte_to_char('\n') == U'Ċ');
  CHECK(text::char_to_byte(U'漢') == -1);
}

TEST_CASE("incomplete UTF-8 at the end is measured, invalid is not waited for") {
  using text::incomplete_utf8_suffix;
  CHECK(incomplete_utf8_suffix("a") == 0);
  CHECK(incomplete_utf8_suffix("a\xC3") == 1);
  CHECK(incomplete_utf8_suffix("\xE2\x82") == 2);
  CHECK(incomplete_utf8_suffix("\xE2\x82\xAC") == 0);
  CHECK(incomplete_utf8_suffix("\xF0\x9F\x99") == 3);
  CHECK(incomplete_utf8_suffix("\xED\xA0") == 0);  // a surrogate can never be completed
  CHECK(incomplete_utf8_suffix("\xF5") == 0);
  CHECK(incomplete_utf8_suffix("\x80\x80\x80\x80") == 0);
}

TEST_CASE("JSON cursor: strings, numbers, values and their errors") {
  text::JsonCursor cursor(R"( {"a\u00e9\ud83d\ude42\n" : [1, -2], "b": {"c": [[]]}} )");
  std::string_view key;
  cursor.enter('{');
  REQUIRE(cursor.next_member(key));
  CHECK(key == "aé🙂\n");
  cursor.enter('[');
  REQUIRE(cursor.next_item());
  CHECK(cursor.integer() == 1);
  REQUIRE(cursor.next_item());
  CHECK(cursor.integer() == -2);
  CHECK_FALSE(cursor.next_item());
  REQUIRE(cursor.next_member(key));
  CHECK(cursor.value() == R"({"c": [[]]})");
  CHECK_FALSE(cursor.next_member(key));
  cursor.end();
  for (const char* bad :
       {"", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1 \"b\":2}", "{a:1}", "{\"\\x\":1}",
        "{\"\\ud800\":1}", "{\"\\u12\":1}", "{\"a\":1}}", "{\"a\n\":1}", "{\"a\":}"}) {
    CHECK_THROWS_AS(
        [&] {
          text::JsonCursor broken(bad);
          broken.enter('{');
          while (broken.next_member(key)) broken.value();
          broken.end();
        }(),
        Error);
  }
}

TEST_CASE("patterns: matches, empty matches, and what is not supported") {
  const auto matches = [](const char* pattern, const char* text) {
    const text::Regex regex{pattern};
    std::string spans;
    for (text::Regex::Matcher m(regex, text); m.next();) spans += str(m.begin, "-", m.end, " ");
    return spans;
  };
  CHECK(matches("a+", "baab") == "1-3 ");
  CHECK(matches("x*", "axé") == "0-0 1-2 4-4 ");
  CHECK(matches("(?=b)", "abb") == "1-1 2-2 ");
  CHECK(matches("[]a]", "]a") == "0-1 1-2 ");
  CHECK(matches(R"(\s)", "\xE1\xA0\x8E\xC2\x85") == "3-5 ");  // U+180E is no space, U+0085 is
  CHECK_THROWS_AS(text::Regex("[a&&b]"), Error);
  CHECK_THROWS_AS(text::Regex("[a[b]]"), Error);
  CHECK_THROWS_AS(text::Regex("("), Error);
}

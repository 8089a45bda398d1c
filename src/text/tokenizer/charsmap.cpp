// Reading and applying SentencePiece's rewriting rules.
#include "text/tokenizer/charsmap.h"

#include <cstring>

#include "tallow/error.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The fields of a unit of the trie.
bool has_leaf(uint32_t unit) { return (unit >> 8) & 1; }
uint32_t value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view blob) {
  uint32_t size = 0;
  if (blob.size() < 4) fail("precompiled_charsmap: has no size");
  std::memcpy(&size, blob.data(), 4);
  if (size % 4 != 0 || size < 1024 || size > blob.size() - 4) {
    fail("precompiled_charsmap: a trie of ", size, " bytes in a map of ", blob.size());
  }
  trie_.resize(size / 4);
  std::memcpy(trie_.data(), blob.data() + 4, size);
  replacements_ = blob.substr(4 + size);
  if (valid_utf8_prefix(replacements_) != replacements_.size()) {
    fail("precompiled_charsmap: the replacements are not UTF-8");
  }
}

Charsmap Charsmap::from_base64(std::string_view text) { return Charsmap(decode_base64(text)); }

Charsmap::Rule Charsmap::find(std::string_view text, bool stop_at_first) const {
  Rule rule;
  if (trie_.empty()) return rule;
  size_t node = offset(trie_[0]);
  for (size_t i = 0; i < text.size() && text[i] != 0; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= trie_.size() || label(trie_[node]) != byte) break;
    const uint32_t unit = trie_[node];
    node ^= offset(unit);
    if (!has_leaf(unit)) continue;
    if (node >= trie_.size()) break;
    const size_t at = value(trie_[node]);
    if (at > replacements_.size()) break;
    const std::string_view rest = std::string_view(replacements_).substr(at);
    // A trie that points into the middle of a character is not one that SentencePiece wrote.
    if (!rest.empty() && (static_cast<unsigned char>(rest[0]) & 0xC0) == 0x80) break;
    rule = {true, i + 1, rest.substr(0, rest.find('\0'))};
    if (stop_at_first) break;
  }
  return rule;
}

std::string decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int have = 0;
  size_t end = text.size();
  while (end > 0 && text.size() - end < 2 && text[end - 1] == '=') --end;
  int8_t values[256];
  std::memset(values, -1, sizeof values);
  for (size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<int8_t>(i);
  }
  for (const char c : text.substr(0, end)) {
    const int8_t six = values[static_cast<unsigned char>(c)];
    if (six < 0) fail("base64: an unexpected character with the code ", static_cast<int>(c) & 255);
    bits = bits << 6 | static_cast<uint32_t>(six);
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out += static_cast<char>(bits >> have & 255);
  }
  if (have == 6) fail("base64: the text ends inside a byte");
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kDigits[bits >> (18 - 6 * k) & 63];
    }
  }
  return out;
}

}  // namespace tallow::text

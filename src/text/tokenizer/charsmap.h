// The rewriting rules that SentencePiece compiles into a model: a double-array trie (darts-clone)
// from texts to places in a list of replacements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tallow::text {

class Charsmap {
 public:
  Charsmap() = default;
  /// `blob`: the trie's size in bytes as 4 bytes, the trie, the replacements, each ended by a NUL.
  /// Throws Error when it is malformed.
  explicit Charsmap(std::string_view blob);
  static Charsmap from_base64(std::string_view text);

  bool empty() const { return trie_.empty(); }
  struct Rule {
    bool found = false;
    size_t length = 0;  ///< how much of the text it replaces
    std::string_view text;
  };
  /// The rule for the shortest prefix of `text` that has one.
  Rule shortest(std::string_view text) const { return find(text, true); }
  Rule longest(std::string_view text) const { return find(text, false); }

 private:
  Rule find(std::string_view text, bool stop_at_first) const;
  std::vector<uint32_t> trie_;
  std::string replacements_;
};

/// The bytes that `text` stands for. Throws Error when it is no base64.
std::string decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

}  // namespace tallow::text

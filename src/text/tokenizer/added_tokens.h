// Added tokens: found in the text before the model sees it, the leftmost first, and of those that
// begin at one place the longest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/tokenizer/stages.h"

namespace tallow::text {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool single_word = false;  ///< not inside a word
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool normalized = false;   ///< looked for in the normalized text
  bool special = false;      ///< left out of decoded text on demand
};

/// A set of texts, searched for at one place at a time.
class Trie {
 public:
  struct Entry {
    std::string_view text;
    uint32_t value;
  };
  void build(std::vector<Entry> entries);
  bool empty() const { return nodes_.empty(); }
  /// Finds the first match at or after `from`: [begin, end) and its value.
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end, uint32_t& value) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    uint32_t first_edge = 0;
    uint32_t edges = 0;
    uint32_t value = kNone;
  };
  struct Edge {
    unsigned char byte;
    uint32_t node;
  };
  uint32_t follow(uint32_t node, unsigned char byte) const;
  std::array<uint32_t, 256> root_{};
  int only_byte_ = -1;  // the one first byte, if there is just one
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
};

class AddedTokens {
 public:
  /// Registers tokens; a later one of the same text replaces the earlier. Throws Error for a token
  /// of more than 1,024 bytes.
  void build(std::vector<AddedToken> tokens, const NormalizerChain& normalizer);

  const AddedToken* find(int32_t id) const;
  const AddedToken* find(std::string_view content) const;
  /// What decoding makes of a token: its normalized text where it was looked for in that.
  std::string_view decoded_text(const AddedToken& token) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// Whether any token is looked for in normalized text.
  bool any_normalized() const { return !normalized_.empty(); }

  /// Walks the text: text(part, begins_input) between tokens, token(id) at each.
  void split(std::string_view text, bool in_normalized,
             const FunctionRef<void(std::string_view, bool)>& on_text,
             const FunctionRef<void(int32_t)>& on_token) const;

 private:
  std::vector<AddedToken> tokens_;
  std::vector<std::string> normalized_texts_;
  std::unordered_map<int32_t, size_t> by_id_;
  std::unordered_map<std::string_view, size_t> by_content_;
  Trie raw_, normalized_;
};

}  // namespace tallow::text

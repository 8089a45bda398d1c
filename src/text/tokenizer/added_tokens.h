// Added tokens: found in the text before the model sees it, the leftmost first, and of those that
// begin at one place the longest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tallow/tokenizer.h"
#include "text/tokenizer/stages.h"
#include "text/tokenizer/trie.h"

namespace tallow::text {

using tallow::AddedToken;

/// What an entry of "added_tokens" says, but for the id.
AddedToken read_added_token(const Json& json);
/// The entry, with the id.
Json written_added_token(const AddedToken& token);

class AddedTokens {
 public:
  /// Registers tokens; a later one of the same text replaces the earlier. Throws Error for a token
  /// of more than 1,024 bytes. Tokens that are not `searched` for are only known by their ids.
  void build(std::vector<AddedToken> tokens, const NormalizerChain& normalizer,
             bool searched = true);

  const AddedToken* find(int32_t id) const;
  const AddedToken* find(std::string_view content) const;
  /// What decoding makes of a token: its normalized text where it was looked for in that.
  std::string_view decoded_text(const AddedToken& token) const;
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// Whether any token is looked for in normalized text.
  bool any_normalized() const { return !normalized_.empty(); }

  /// Walks the text: on_text(begin, end) between tokens, on_token(id, begin, end) at each. With
  /// `skip_special` the special ones are text like any other.
  void split(std::string_view text, bool in_normalized, bool skip_special,
             const FunctionRef<void(size_t, size_t)>& on_text,
             const FunctionRef<void(int32_t, size_t, size_t)>& on_token) const;

 private:
  std::vector<AddedToken> tokens_;
  std::vector<std::string> normalized_texts_;
  std::unordered_map<int32_t, size_t> by_id_;
  std::unordered_map<std::string_view, size_t> by_content_;
  Trie raw_, normalized_;
};

}  // namespace tallow::text

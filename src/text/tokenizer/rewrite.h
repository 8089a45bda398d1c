// The ways in which normalizers and pre-tokenizers rewrite text.
#pragma once

#include <string_view>

#include "core/utf8.h"
#include "text/tokenizer/aligned.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {

/// What map_characters takes for "drop it".
inline constexpr char32_t kNothing = 0x110000;

/// A sequence of characters that takes the place of all the old text. Each says how many of the
/// old characters it takes beyond the one that it replaces; 1 means that it was added, and
/// replaces none.
class Replay {
 public:
  explicit Replay(Edit& edit) : edit_(edit) {}
  void put(char32_t c, int32_t change) {
    flush();
    held_ = c;
    change_ = change;
  }
  /// The last character takes `count` old characters more. Before the first there is none to.
  void take(int32_t count) {
    if (held_ != kNothing) change_ -= count;
  }
  void flush();
  void finish() {
    flush();
    edit_.commit_here();
  }

 private:
  Edit& edit_;
  char32_t held_ = kNothing;
  int32_t change_ = 0;
};

/// Replaces or drops (kNothing) each character.
template <class F>
void map_characters(AlignedText& text, size_t limit, const F& map) {
  Edit edit(text, limit);
  bool changed = false;
  const std::string_view all = text.text();
  for (size_t i = 0; i < all.size();) {
    const size_t begin = i;
    const char32_t c = next_code_point(all, i);
    const char32_t to = map(c);
    if (to == c) continue;
    changed = true;
    edit.keep(begin);
    if (to == kNothing) {
      edit.drop(i);
    } else {
      std::string spelled;
      append_utf8(spelled, to);
      edit.replace(i, spelled);
    }
  }
  if (changed) edit.commit();
}

/// Puts a prefix before text that is not empty; it stands for the first character.
void prepend(AlignedText& text, std::string_view prefix, size_t limit);
void replace_all(AlignedText& text, std::string_view from, std::string_view to, size_t limit);
/// Rewrites valid UTF-8 in a normal form.
void normalize(AlignedText& text, NormalForm form, size_t limit);
/// Lower case, code point by code point.
void lowercase(AlignedText& text, size_t limit);
/// Every byte as a character of the byte-level alphabet.
void byte_level(AlignedText& text, size_t limit);

}  // namespace tallow::text

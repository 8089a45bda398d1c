// Text that is rewritten step by step and, where somebody asks, remembers which characters of the
// original each byte stands for: the offsets of tokens come from that.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tallow::text {

/// The stretch of the original text, in bytes, that a byte of rewritten text stands for.
struct Origin {
  uint32_t begin = 0;
  uint32_t end = 0;
};

/// A view of text with its origins.
struct Piece {
  std::string_view text;
  const Origin* origins = nullptr;  ///< by byte; null: nobody asks
  bool first = false;               ///< begins where the input begins

  Piece part(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), origins ? origins + begin : nullptr,
            first && begin == 0};
  }
};

/// Text on its way through the steps that rewrite it.
class AlignedText {
 public:
  AlignedText() = default;
  explicit AlignedText(const Piece& piece) { assign(piece); }
  void assign(const Piece& piece);
  /// Takes a stretch of the original, which begins at `at`; each character stands for itself.
  void assign(std::string_view text, size_t at, bool tracked);

  const std::string& text() const { return text_; }
  size_t size() const { return text_.size(); }
  Piece piece() const { return {text_, tracked_ ? origins_.data() : nullptr, first_}; }

 private:
  friend class Edit;
  std::string text_;
  std::vector<Origin> origins_;
  uint32_t base_ = 0;  // where the text begins in the original
  bool tracked_ = false;
  bool first_ = true;
};

/// One pass over a text that writes its successor. What is neither kept nor replaced is gone when
/// commit() ends the pass. Throws Error when the new text grows past `limit` bytes.
class Edit {
 public:
  Edit(AlignedText& target, size_t limit) : target_(target), limit_(limit) {}

  std::string_view old() const { return target_.text_; }
  size_t at() const { return at_; }
  /// Keeps the old text up to `end`.
  void keep(size_t end);
  void drop(size_t end) { at_ = end; }
  /// Writes `text` for the old text up to `end`; it stands for the first character of that.
  void replace(size_t end, std::string_view text);
  /// Writes `text`; it stands for the character at `at` of the old text.
  void put(std::string_view text, size_t at);
  /// Writes `text`; it stands for what the character before does.
  void insert(std::string_view text);
  /// Keeps the rest and gives the target the new text.
  void commit();
  /// Drops the rest.
  void commit_here();

 private:
  void note(size_t bytes, Origin origin);
  AlignedText& target_;
  const size_t limit_;
  size_t at_ = 0;
  bool first_ = true;
  std::string out_;
  std::vector<Origin> origins_;
};

}  // namespace tallow::text

// Regular expressions in Oniguruma's dialect, which tokenizer.json uses, run by PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace tallow::text {

/// A compiled pattern. Const and shareable between threads; each Matcher is one thread's.
class Regex {
 public:
  /// Throws Error when the pattern is malformed.
  explicit Regex(std::string_view pattern);
  /// A pattern that matches `text` itself.
  static Regex literal(std::string_view text);
  ~Regex();
  Regex(Regex&&) noexcept;

  /// Walks the matches in a text, from left to right.
  class Matcher {
   public:
    /// `text` must be valid UTF-8 and outlive the matcher.
    Matcher(const Regex& regex, std::string_view text);
    ~Matcher();
    Matcher(const Matcher&) = delete;
    /// Moves to the next match: [begin, end). False when there is none. Throws Error when the
    /// pattern needs more steps than any reasonable one does.
    bool next();
    size_t begin = 0;
    size_t end = 0;

   private:
    int match(size_t from, unsigned options);
    struct Run;
    const Regex& regex_;
    std::string_view text_;
    std::unique_ptr<Run> run_;
    size_t from_ = 0;
    bool matched_ = false;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string pattern_;
};

}  // namespace tallow::text

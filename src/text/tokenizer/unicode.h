// What tokenizers need of Unicode: UTF-8 repair, normal forms, case, and the byte-level alphabet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tallow::text {

/// The length of the longest prefix that is valid UTF-8.
size_t valid_utf8_prefix(std::string_view text);
/// `text` with each invalid sequence replaced by U+FFFD, as Python's errors="replace" does.
std::string repair_utf8(std::string_view text);
/// How many bytes at the end begin a character that more bytes could complete (0 to 3).
size_t incomplete_utf8_suffix(std::string_view text);

enum class NormalForm { nfc, nfd, nfkc, nfkd };
/// Whether valid UTF-8 may change under the form. Errs on the side of true.
bool may_change(std::string_view text, NormalForm form);
/// Appends the full decomposition of a code point.
void decompose(char32_t c, bool compatibility, std::u32string& out);
/// The one code point that two make, or 0.
char32_t compose(char32_t a, char32_t b);
/// The canonical combining class.
int combining(char32_t c);
/// Where the grapheme that begins at `begin` ends.
size_t grapheme_end(std::string_view text, size_t begin);
/// Moves past ASCII.
size_t skip_ascii(std::string_view text, size_t i);

/// Categories Mn, Mc, Me; category Mn; categories Cc, Cf, Co; categories Nd, Nl, No; categories P*.
bool is_mark(char32_t c);
bool is_nonspacing_mark(char32_t c);
bool is_other(char32_t c);
bool is_numeric(char32_t c);
bool is_punctuation(char32_t c);
/// Whether Unicode says that it is white space.
bool is_space(char32_t c);
/// Whether it is a letter, a mark, a decimal digit or a connector: the regular expression \w.
bool is_word(char32_t c);

/// The simple case mappings, one code point to one.
char32_t to_upper(char32_t c);
char32_t to_lower(char32_t c);
/// The general category, two letters: "Lu", "Zs".
const char* category(char32_t c);

/// The byte-level alphabet of GPT-2: every byte as a printable code point below U+0144.
char32_t byte_to_char(uint8_t byte);
/// The byte that a code point stands for, or -1.
int char_to_byte(char32_t c);
/// Appends the byte-level spelling of `bytes`.
void append_byte_level(std::string& out, std::string_view bytes);
/// Appends the bytes that a byte-level token stands for, or the token itself when one of its
/// characters is outside the alphabet.
void append_bytes(std::string& out, std::string_view token);

}  // namespace tallow::text

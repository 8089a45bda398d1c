// Categories of characters as `tokenizers` knows them, which is an older Unicode than ours.
#pragma once

namespace tallow::text {

/// Whether BertNormalizer strips it as an accent.
bool was_nonspacing_mark(char32_t c);
/// Whether StripAccents strips it.
bool was_mark(char32_t c);
/// Whether Punctuation and BertPreTokenizer split at it, apart from ASCII.
bool was_punctuation(char32_t c);

}  // namespace tallow::text

// Reading a text file by lines.
#include "text/tokenizer/train/line_blocks.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "tallow/error.h"
#include "text/tokenizer/unicode.h"

namespace tallow::text {

/// Reads on behind text_; false at the end of the file.
bool LineBlocks::read_block() {
  constexpr size_t kBlock = size_t{8} << 20;
  const size_t had = text_.size();
  text_.resize(had + std::min(kBlock, size() + 1));
  ssize_t n = -1;
  do {
    n = ::read(file_.descriptor(), text_.data() + had, text_.size() - had);
  } while (n < 0 && errno == EINTR);
  if (n < 0) fail(path_, ": cannot read: ", std::strerror(errno));
  text_.resize(had + static_cast<size_t>(n));
  return n > 0;
}

const std::vector<std::string_view>& LineBlocks::next() {
  text_.erase(0, whole_);
  lines_.clear();
  bool more = true;
  size_t line_end = text_.npos;
  while (more && line_end == text_.npos) {
    const size_t had = text_.size();
    more = read_block();
    line_end = text_.rfind('\n');
    if (line_end != text_.npos && line_end < had) line_end = text_.npos;
  }
  whole_ = more ? line_end + 1 : text_.size();

  const std::string_view text = std::string_view(text_).substr(0, whole_);
  const size_t valid = valid_utf8_prefix(text);
  if (valid != text.size()) {
    fail(path_, ": offset ", done_ + valid, ": is not UTF-8, which training reads");
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const size_t next = end == text.npos ? text.size() : end + 1;
    lines_.push_back(text.substr(begin, next - begin));
    begin = next;
  }
  done_ += whole_;
  return lines_;
}

}  // namespace tallow::text

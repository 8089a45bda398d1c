// A text file in blocks of whole lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/read_file.h"

namespace tallow::text {

class LineBlocks {
 public:
  explicit LineBlocks(const std::string& path) : path_(path), file_(path) {}
  /// The lines of the next block, each with its end; none at the end of the file. Throws Error,
  /// with the offset, for text that is not UTF-8.
  const std::vector<std::string_view>& next();
  size_t size() const { return file_.size(); }
  size_t done() const { return done_; }

 private:
  bool read_block();
  const std::string path_;
  const RegularFile file_;
  std::string text_;
  size_t whole_ = 0;  // bytes of text_ that are whole lines
  size_t done_ = 0;   // bytes that were given out
  std::vector<std::string_view> lines_;
};

}  // namespace tallow::text

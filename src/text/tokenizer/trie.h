// A set of texts by their bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tallow::text {

/// A set of texts, searched for at one place at a time.
class Trie {
 public:
  struct Entry {
    std::string_view text;
    uint32_t value;
  };
  void build(std::vector<Entry> entries);
  bool empty() const { return nodes_.empty(); }
  /// Calls f(length, value) for each text that `text` begins with, the shortest first.
  template <class F>
  void for_each_prefix(std::string_view text, const F& f) const {
    if (nodes_.empty() || text.empty()) return;
    uint32_t node = root_[static_cast<unsigned char>(text[0])];
    for (size_t i = 1; node != kNone; ++i) {
      if (nodes_[node].value != kNone) f(i, nodes_[node].value);
      if (i == text.size()) return;
      node = follow(node, static_cast<unsigned char>(text[i]));
    }
  }
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

}  // namespace tallow::text

// Building and walking the trie.
#include "text/tokenizer/trie.h"

#include <algorithm>
#include <cstring>

namespace tallow::text {

void Trie::build(std::vector<Entry> entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.text < b.text; });
  nodes_.clear();
  edges_.clear();
  root_.fill(kNone);
  only_byte_ = -1;
  if (entries.empty()) return;
  struct Range {
    size_t begin, end, depth;
  };
  // Breadth first: the node of a range is its place in the list.
  std::vector<Range> ranges{{0, entries.size(), 0}};
  for (size_t n = 0; n < ranges.size(); ++n) {
    auto [at, end, depth] = ranges[n];
    Node node{static_cast<uint32_t>(edges_.size()), 0, kNone};
    while (at < end && entries[at].text.size() == depth) node.value = entries[at++].value;
    while (at < end) {
      const auto byte = static_cast<unsigned char>(entries[at].text[depth]);
      const size_t begin = at;
      while (at < end && static_cast<unsigned char>(entries[at].text[depth]) == byte) ++at;
      edges_.push_back({byte, static_cast<uint32_t>(ranges.size())});
      ranges.push_back({begin, at, depth + 1});
      ++node.edges;
    }
    nodes_.push_back(node);
  }
  for (uint32_t e = 0; e < nodes_[0].edges; ++e) root_[edges_[e].byte] = edges_[e].node;
  if (nodes_[0].edges == 1) only_byte_ = edges_[0].byte;
}

uint32_t Trie::follow(uint32_t node, unsigned char byte) const {
  const auto first = edges_.begin() + nodes_[node].first_edge;
  const auto last = first + nodes_[node].edges;
  const auto edge = std::lower_bound(
      first, last, byte, [](const Edge& e, unsigned char wanted) { return e.byte < wanted; });
  return edge != last && edge->byte == byte ? edge->node : kNone;
}

bool Trie::find(std::string_view text, size_t from, size_t& begin, size_t& end,
                uint32_t& value) const {
  if (nodes_.empty()) return false;
  for (size_t at = from; at < text.size(); ++at) {
    if (only_byte_ >= 0) {
      const void* found = std::memchr(text.data() + at, only_byte_, text.size() - at);
      if (!found) return false;
      at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    }
    uint32_t node = root_[static_cast<unsigned char>(text[at])];
    bool matched = false;
    for (size_t i = at + 1; node != kNone; ++i) {
      if (nodes_[node].value != kNone) {
        matched = true;
        end = i;
        value = nodes_[node].value;
      }
      if (i == text.size()) break;
      node = follow(node, static_cast<unsigned char>(text[i]));
    }
    if (matched) {
      begin = at;
      return true;
    }
  }
  return false;
}

}  // namespace tallow::text

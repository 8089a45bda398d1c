// Stop strings in a stream: each is followed by its own matching automaton, so text is read once.
#include <algorithm>

#include "tallow/error.h"
#include "tallow/sampling.h"

namespace tallow {

StopStrings::StopStrings(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) fail("stop string: it is empty; give at least one character");
    std::vector<size_t> fallback(text.size(), 0);
    for (size_t i = 1, k = 0; i < text.size(); ++i) {
      while (k > 0 && text[i] != text[k]) k = fallback[k - 1];
      if (text[i] == text[k]) ++k;
      fallback[i] = k;
    }
    stops_.push_back({std::move(text), std::move(fallback), 0});
  }
}

std::string StopStrings::next(std::string_view piece) {
  if (found_) return {};
  std::string text = std::move(held_);
  held_.clear();
  for (const char c : piece) {
    text += c;
    for (size_t i = 0; i < stops_.size(); ++i) {
      Stop& stop = stops_[i];
      while (stop.matched > 0 && stop.text[stop.matched] != c) {
        stop.matched = stop.fallback[stop.matched - 1];
      }
      if (stop.text[stop.matched] == c) ++stop.matched;
      if (stop.matched == stop.text.size()) {
        if (!found_ || stop.text.size() > stops_[*found_].text.size()) found_ = i;
      }
    }
    if (found_) {
      text.resize(text.size() - stops_[*found_].text.size());
      return text;
    }
  }
  size_t hold = 0;
  for (const Stop& stop : stops_) hold = std::max(hold, stop.matched);
  held_ = text.substr(text.size() - hold);
  text.resize(text.size() - hold);
  return text;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

std::optional<std::string_view> StopStrings::matched() const {
  if (!found_) return std::nullopt;
  return stops_[*found_].text;
}

}  // namespace tallow

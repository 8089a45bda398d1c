// Weights: prefixes, shape checks, and the names to offer when one is missing.
#include "tallow/weights.h"

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include "formats/byte_reader.h"
#include "tallow/error.h"

namespace tallow {
namespace {

constexpr size_t kSuggestions = 5;
constexpr size_t kLongestCompared = 256;
constexpr size_t kComparisonBudget = 200'000'000;  // characters times characters: some 0.2 s

/// Levenshtein's distance between two short texts.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// The names nearest to `wanted`, quoted and joined.
std::string nearest(const std::vector<std::string>& names, std::string_view wanted) {
  std::vector<std::pair<size_t, const std::string*>> ranked;
  ranked.reserve(names.size());
  size_t spent = 0;
  for (const std::string& name : names) {
    if (name.size() > kLongestCompared) continue;
    spent += wanted.size() * name.size();
    if (spent > kComparisonBudget) break;
    ranked.emplace_back(edit_distance(wanted, name), &name);
  }
  const size_t shown = std::min(kSuggestions, ranked.size());
  std::partial_sort(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(shown),
                    ranked.end(), [](const auto& a, const auto& b) {
                      return a.first != b.first ? a.first < b.first : *a.second < *b.second;
                    });
  std::string out;
  for (size_t i = 0; i < shown; ++i) out += (i ? ", " : "") + quoted(*ranked[i].second);
  return out;
}

}  // namespace

struct Weights::State {
  std::shared_ptr<const WeightSource> source;
  std::mutex mutex;
  std::unordered_set<std::string> used;

  Tensor take(const std::string& name) {
    Tensor tensor = source->get(name);
    const std::lock_guard lock(mutex);
    used.insert(name);
    return tensor;
  }
};

Weights::Weights(std::shared_ptr<const WeightSource> source) : state_(std::make_shared<State>()) {
  state_->source = std::move(source);
}

Weights Weights::operator/(std::string_view name) const {
  Weights child = *this;
  child.prefix_ += name;
  child.prefix_ += '.';
  return child;
}

Weights Weights::operator/(int64_t index) const { return *this / std::string_view(str(index)); }

Tensor Weights::get_any(std::string_view name) const {
  const std::string full = str(prefix_, name);
  if (state_->source->contains(full)) return state_->take(full);
  const auto names = state_->source->names();
  if (names.empty()) fail(path(), ": tensor ", quoted(full), " is missing; there are no tensors");
  fail(path(), ": tensor ", quoted(full), " is missing; the nearest of ", names.size(),
       " names: ", nearest(names, std::string_view(full).substr(0, kLongestCompared)));
}

Tensor Weights::get(std::string_view name, const Shape& shape) const {
  Tensor tensor = get_any(name);
  if (tensor.shape() != shape) {
    fail(path(), ": tensor ", quoted(str(prefix_, name)), " has the shape ", tensor.shape(),
         ", but the configuration asks for ", shape);
  }
  return tensor;
}

Tensor Weights::find(std::string_view name, const Shape& shape) const {
  return contains(name) ? get(name, shape) : Tensor();
}

bool Weights::contains(std::string_view name) const {
  return state_->source->contains(str(prefix_, name));
}

std::vector<std::string> Weights::names() const { return state_->source->names(); }

std::vector<std::string> Weights::unused() const {
  std::vector<std::string> names = state_->source->names();
  const std::lock_guard lock(state_->mutex);
  std::erase_if(names, [&](const std::string& name) { return state_->used.contains(name); });
  return names;
}

const std::string& Weights::path() const { return state_->source->path(); }

}  // namespace tallow

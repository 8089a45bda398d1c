// Prompts with soft tokens: what two have in common, how they are cut into passes, and how a pass
// comes by its rows.
#include "tallow/prompt.h"

#include <algorithm>
#include <cstring>

#include "tallow/error.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

bool same_values(const Tensor& a, const Tensor& b) {
  if (!a || !b) return !a && !b;
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.raw() == y.raw() || std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.nbytes())) == 0;
}

bool same_run(const SoftRun& a, const SoftRun& b) {
  if (a.start != b.start || a.count != b.count || a.input.index() != b.input.index()) return false;
  if (const auto* image = std::get_if<ImageInput>(&a.input)) {
    const auto& other = std::get<ImageInput>(b.input);
    return same_values(image->pixels, other.pixels) &&
           same_values(image->positions, other.positions);
  }
  return same_values(std::get<AudioInput>(a.input).features,
                     std::get<AudioInput>(b.input).features);
}

Tensor encode(const SoftRun& run, const CausalLM& network) {
  const Tensor rows = std::holds_alternative<ImageInput>(run.input)
                          ? network.images()->encode(std::get<ImageInput>(run.input))
                          : network.sounds()->encode(std::get<AudioInput>(run.input));
  if (rows.size(0) != run.count) {
    fail("prompt: ", run.count, " soft tokens were planned for and ", rows.size(0), " made");
  }
  return rows;
}

Tensor list(const std::vector<int32_t>& values) {
  return Tensor::from(std::span<const int32_t>(values), {std::ssize(values)});
}

}  // namespace

void Prompt::append(const PromptPart& part) {
  for (const SoftRun& run : part.prompt->runs) {
    if (part.begin <= run.start && run.end() <= part.end) runs.push_back(run);
  }
  tokens.insert(tokens.end(), part.tokens().begin(), part.tokens().end());
}

void Prompt::truncate(int64_t count) {
  for (const SoftRun& run : runs) {
    if (run.start < count && count < run.end()) count = run.start;
  }
  std::erase_if(runs, [&](const SoftRun& run) { return run.end() > count; });
  tokens.resize(static_cast<size_t>(std::min(count, size())));
}

int64_t Prompt::common_prefix(const Prompt& other) const {
  const auto most = static_cast<ptrdiff_t>(std::min(size(), other.size()));
  int64_t same = std::mismatch(tokens.begin(), tokens.begin() + most, other.tokens.begin()).first -
                 tokens.begin();
  const size_t shared = std::min(runs.size(), other.runs.size());
  for (size_t i = 0; i < std::max(runs.size(), other.runs.size()); ++i) {
    if (i < shared && runs[i].end() <= same && same_run(runs[i], other.runs[i])) continue;
    if (i < runs.size()) same = std::min(same, runs[i].start);
    if (i < other.runs.size()) same = std::min(same, other.runs[i].start);
    break;
  }
  return same;
}

int64_t Prompt::pass_end(int64_t begin, int64_t count) const {
  const int64_t end = std::min(begin + count, size());
  for (const SoftRun& run : runs) {
    if (run.start < end && end < run.end()) return run.end();
  }
  return end;
}

void place_soft_tokens(std::span<const PromptPart> parts, const CausalLM& network, Batch& batch) {
  std::vector<Tensor> soft;
  std::vector<int32_t> rows, visible;
  int64_t offset = 0;  // of the part's first token in the batch
  for (const PromptPart& part : parts) {
    for (int64_t t = part.begin; t < part.end; ++t) visible.push_back(static_cast<int32_t>(t + 1));
    for (const SoftRun& run : part.prompt->runs) {
      if (run.start < part.begin || run.end() > part.end) continue;
      soft.push_back(encode(run, network));
      const bool image = std::holds_alternative<ImageInput>(run.input);
      for (int64_t t = run.start; t < run.end(); ++t) {
        const int64_t row = offset + t - part.begin;
        rows.push_back(static_cast<int32_t>(row));
        if (image) visible[static_cast<size_t>(row)] = static_cast<int32_t>(run.end());
      }
    }
    offset += part.end - part.begin;
  }
  if (soft.empty()) return;
  batch.soft_tokens = cat(soft, 0);
  batch.soft_rows = list(rows);
  batch.visible = list(visible);
}

}  // namespace tallow

// Measuring importance: a model runs over a text while an observer sums what its weights see.
#include "tallow/importance.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "core/read_file.h"
#include "ops/products/observer.h"
#include "tallow/autograd.h"
#include "tallow/error.h"
#include "tallow/gguf.h"
#include "tallow/language_model.h"
#include "tallow/ops.h"

namespace tallow {
namespace {

/// The sums of squares of the inputs of each weight, by the weight's place in memory.
class Sums final : public LinearObserver {
 public:
  Sums(const GgufFile& file, bool with_output) {
    for (const TensorInfo& t : file.tensors()) {
      const bool wanted = t.name.starts_with("blk.") || (with_output && t.name == "output.weight");
      if (!wanted || t.shape.size() != 2) continue;
      names_.emplace(file.get(t.name).raw(), t.name);
    }
    linear_observer = this;
  }
  ~Sums() override { linear_observer = nullptr; }

  void see(const Tensor& x, const Tensor& weight) override {
    const auto name = names_.find(weight.raw());
    if (name == names_.end()) return;
    const std::lock_guard lock(mutex_);
    const Tensor rows = x.to(DType::f32).contiguous();
    const int64_t k = rows.shape().back(), n = rows.numel() / k;
    Entry& entry = entries_[name->second];
    entry.sums.resize(static_cast<size_t>(k));
    for (int64_t i = 0; i < n; ++i) {
      const float* row = rows.data<float>() + i * k;
      for (int64_t j = 0; j < k; ++j) entry.sums[static_cast<size_t>(j)] += row[j] * row[j];
    }
    entry.count += n;
  }

  void write(GgufWriter& out) const {
    for (const auto& [name, entry] : entries_) {
      const auto k = static_cast<int64_t>(entry.sums.size());
      out.add_tensor(name + ".in_sum2", {1, k}, DType::f32);
      out.add_tensor(name + ".counts", {1, 1}, DType::f32);
    }
    for (const auto& [name, entry] : entries_) {
      out.write(std::as_bytes(std::span(entry.sums)));
      const auto count = static_cast<float>(entry.count);
      out.write(std::as_bytes(std::span(&count, 1)));
    }
  }

 private:
  struct Entry {
    std::vector<float> sums;
    int64_t count = 0;
  };
  std::map<const void*, std::string> names_;
  std::map<std::string, Entry> entries_;
  std::mutex mutex_;
};

/// The tokens of the text in pieces of the same length, each with what stands before every text.
std::vector<std::vector<int32_t>> pieces_of(const Tokenizer& tokenizer, const std::string& path,
                                            const ImportanceOptions& options) {
  const std::vector<int32_t> before = tokenizer.encode("", true);
  const auto tokens = tokenizer.encode(read_file(path), true);
  const auto chunk = static_cast<size_t>(options.chunk);
  size_t count = tokens.size() / chunk;
  if (count == 0) {
    fail(path, ": has ", static_cast<int64_t>(tokens.size()), " tokens, fewer than one piece of ",
         options.chunk, "; give more text, or a smaller --chunk");
  }
  if (options.max_chunks > 0) count = std::min(count, static_cast<size_t>(options.max_chunks));
  std::vector<std::vector<int32_t>> pieces;
  for (size_t i = 0; i < count; ++i) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i * chunk);
    pieces.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(chunk));
    // As llama.cpp: the beginning-of-text token takes the place of the piece's first.
    if (!before.empty() && i > 0) pieces.back()[0] = before[0];
  }
  return pieces;
}

}  // namespace

void measure_importance(const std::string& model, const std::string& text, const std::string& out,
                        const ImportanceOptions& options) {
  const Checkpoint checkpoint = open_checkpoint(model);
  if (!checkpoint.gguf) fail(model, ": is not a GGUF file; make one with `tallow convert`");
  const auto network = load_causal_lm(checkpoint);
  const auto pieces = pieces_of(TextModel::open(*checkpoint.gguf).tokenizer, text, options);
  GgufWriter writer(out);
  const std::string datasets[] = {text};
  writer.metadata().set_string("general.type", "imatrix");
  writer.metadata().set_strings("imatrix.datasets", datasets);
  writer.metadata().set_u32("imatrix.chunk_count", static_cast<uint32_t>(pieces.size()));
  writer.metadata().set_u32("imatrix.chunk_size", static_cast<uint32_t>(options.chunk));

  Sums sums(*checkpoint.gguf, options.output);
  const NoGrad no_grad;
  const KvCacheSpec spec = network->cache_spec();
  KvCache cache(spec, (options.chunk / spec.page_size + 1) * spec.page_size);
  const auto total = static_cast<int64_t>(pieces.size()) * options.chunk;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (options.progress) options.progress(static_cast<int64_t>(i) * options.chunk, total);
    const KvCache::Sequence sequence = cache.create();
    // The last layer leaves out tokens whose logits nobody wants.
    const KvCache::Chunk chunk{.sequence = sequence, .tokens = pieces[i], .all_logits = true};
    network->forward(cache.append({&chunk, 1}), cache);
    cache.release(sequence);
  }
  sums.write(writer);
  writer.finish();
}

}  // namespace tallow
